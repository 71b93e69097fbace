// Lesson 7: a function is any program that reads an event and writes events.
//
// The data is a text with a sale on each line, such as "lamp 40". It answers with one event for each item: how many were
// sold, and for how much. The reading and writing is in millstream.go.
//
// A command runs once for each event, in a sandbox of its own, so nothing is left of the last one. What goes wrong:
//
//   - an exit status other than 0 asks for another attempt, and after the last one the event is a dead letter, whose
//     message has the end of stderr;
//   - nothing is emitted unless the program ends with 0, whatever it printed.
package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

type total struct {
	Item   string `json:"item"`
	Count  int    `json:"count"`
	Amount int    `json:"amount"`
}

func main() {
	Run(handle)
}

func handle(day Event) ([]Event, error) {
	totals, err := tally(string(day.Data))
	if err != nil {
		return nil, err
	}
	events := make([]Event, 0, len(totals))
	for _, total := range totals {
		data, err := json.Marshal(total)
		if err != nil {
			return nil, err
		}
		// The key of what is emitted: an event without one keeps the key of its record.
		events = append(events, Event{Type: "sales.total", Key: total.Item, ContentType: "application/json", Data: data})
	}
	return events, nil
}

func tally(text string) ([]total, error) {
	byItem := map[string]total{}
	for number, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var item string
		var amount int
		if _, err := fmt.Sscanf(line, "%s %d", &item, &amount); err != nil {
			return nil, fmt.Errorf("line %d is not an item and an amount: %q", number+1, line)
		}
		sum := byItem[item]
		byItem[item] = total{item, sum.Count + 1, sum.Amount + amount}
	}
	totals := make([]total, 0, len(byItem))
	for _, total := range byItem {
		totals = append(totals, total)
	}
	sort.Slice(totals, func(i, j int) bool { return totals[i].Item < totals[j].Item })
	return totals, nil
}
