// Greets whoever an event names. The reading and writing of events is in millstream.go.
package main

import (
	"encoding/json"
	"fmt"
)

func main() {
	Run(greet)
}

// An error asks for another attempt; after the last one the event is a dead letter.
func greet(event Event) ([]Event, error) {
	var visitor struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(event.Data, &visitor); err != nil {
		return nil, fmt.Errorf("the data is no visitor: %w", err)
	}
	if visitor.Name == "" {
		return nil, fmt.Errorf("the data names nobody")
	}
	data, err := json.Marshal(map[string]string{"greeting": "Hello, " + visitor.Name})
	if err != nil {
		return nil, err
	}
	// It goes to the output "default" with the key of the event, unless it says otherwise.
	return []Event{{Type: "visitor.greeted", ContentType: "application/json", Data: data}}, nil
}
