"""C and C++: `kiln.h` for authors, what stands around their handle, and how it is all compiled."""
