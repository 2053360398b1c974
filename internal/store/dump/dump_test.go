package dump

import (
	"errors"
	"iter"
	"testing"
)

func rowsOf(rows []Row, err error) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func sumsOf(t *testing.T, table *Table, rows ...Row) (sums []Sum) {
	t.Helper()
	for sum, err := range table.Sums(rowsOf(rows, nil)) {
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
	}
	return sums
}

// Rows that differ anywhere, or come in another order, have other sums.
func TestSumsDiffer(t *testing.T) {
	table := &Table{Name: "t"}
	seen := map[Sum]int{}
	for i, rows := range [][]Row{
		{{int64(1), "a", nil, true}},
		{{int64(2), "a", nil, true}},
		{{int64(1), "b", nil, true}},
		{{int64(1), "a", "", true}},
		{{int64(1), "a", nil, false}},
		{{int64(1), "a"}, {nil, true}},
		{{int64(1), "", "a", true}},
		{{int64(1), nil, "a", true}},
		{{"a", "b"}},
		{{"ab", ""}},
		{{"b", "a"}},
		{{"a"}, {"b"}},
		{{"b"}, {"a"}},
	} {
		sums := sumsOf(t, table, rows...)
		if len(sums) != 1 {
			t.Fatalf("rows %d have %d sums, want 1", i, len(sums))
		}
		if j, taken := seen[sums[0]]; taken {
			t.Errorf("rows %d and %d have one sum", i, j)
		}
		seen[sums[0]] = i
	}
}

func TestSumsByRoom(t *testing.T) {
	table := &Table{Name: "t", ByRoom: true}
	one, two := Row{int64(1), "a"}, Row{int64(2), "a"}
	sums := sumsOf(t, table, one, one, two)
	alone := sumsOf(t, table, two)
	if len(sums) != 2 || sums[0].Room != 1 || sums[0].Rows != 2 || sums[1].Room != 2 || sums[1] != alone[0] {
		t.Errorf("Sums = %+v, want two rows of room 1 and one of room 2, as %+v", sums, alone)
	}
	if sums := sumsOf(t, table); sums != nil {
		t.Errorf("Sums of nothing = %+v, want none", sums)
	}
}

func TestSumsEndWithAnError(t *testing.T) {
	broken := errors.New("broken")
	for name, rows := range map[string]iter.Seq2[Row, error]{
		"from the rows":     rowsOf([]Row{{int64(1)}}, broken),
		"a value of others": rowsOf([]Row{{3.5}}, nil),
	} {
		var got error
		for _, err := range (&Table{Name: "t"}).Sums(rows) {
			got = err
		}
		if got == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
