// Sums up sales given as CSV with the columns region, units and price: per region, the one with the highest revenue first.
package main

import (
	"cmp"
	"encoding/csv"
	"kiln"
	"slices"
	"strconv"
	"strings"
)

type Input struct {
	CSV string `json:"csv"`
}

type Region struct {
	Region  string  `json:"region"`
	Sales   int     `json:"sales"`
	Units   int     `json:"units"`
	Revenue float64 `json:"revenue"`
}

func Handle(input Input) ([]Region, error) {
	rows, err := csv.NewReader(strings.NewReader(input.CSV)).ReadAll()
	if err != nil {
		return nil, err
	}
	regions := map[string]*Region{}
	for number, row := range rows {
		if err := add(regions, row); err != nil {
			return nil, kiln.Errorf("row %d: %w", number+1, err)
		}
	}
	sums := []Region{}
	for _, region := range regions {
		sums = append(sums, *region)
	}
	slices.SortFunc(sums, func(a, b Region) int {
		return cmp.Or(cmp.Compare(b.Revenue, a.Revenue), cmp.Compare(a.Region, b.Region))
	})
	return sums, nil
}

func add(regions map[string]*Region, row []string) error {
	if len(row) != 3 {
		return kiln.Errorf("there are %d columns, not 3", len(row))
	}
	units, err := strconv.Atoi(row[1])
	if err != nil {
		return err
	}
	price, err := strconv.ParseFloat(row[2], 64)
	if err != nil {
		return err
	}
	sum := regions[row[0]]
	if sum == nil {
		sum = &Region{Region: row[0]}
		regions[row[0]] = sum
	}
	sum.Sales++
	sum.Units += units
	sum.Revenue += float64(units) * price
	return nil
}
