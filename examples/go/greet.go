// Greets whoever is named in {"name": "Ada"}.
package main

type Input struct {
	Name *string `json:"name"`
}

type Output struct {
	Greeting string `json:"greeting"`
}

func Handle(input Input) (Output, error) {
	name := "world"
	if input.Name != nil {
		name = *input.Name
	}
	return Output{Greeting: "Hello, " + name}, nil
}
