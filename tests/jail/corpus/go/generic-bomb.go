package main

type Pair[T any] struct{ left, right T }

func Spin[T any](n int) any {
	if n == 0 {
		return nil
	}
	return Spin[Pair[T]](n - 1)
}

func Handle(input int) (any, error) { return Spin[int](input), nil }
