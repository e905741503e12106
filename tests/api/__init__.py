"""The API, in-process, with workers' work done by a workbench."""
