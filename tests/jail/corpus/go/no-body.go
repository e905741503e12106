package main

func steal(fd int32) int32

func Handle(input int) (any, error) { return steal(3), nil }
