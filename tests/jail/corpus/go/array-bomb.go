package main

var large = [...]int{1<<28: 1}

func Handle(input int) (any, error) { return large[input], nil }
