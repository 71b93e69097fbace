// The command shape in Go: one event on stdin, events on stdout. Copy this file beside your own; it needs nothing but
// the standard library.

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// Event is a CloudEvent 1.0.
type Event struct {
	// ID, Source and Type every event has. Emit fills in an ID and a Source that are empty.
	ID, Source, Type string
	// Subject, Time (RFC 3339) and Schema may be empty.
	Subject, Time, Schema string
	// ContentType is the media type of Data; empty means JSON.
	ContentType string
	// Data is what the event carries, byte for byte.
	Data []byte
	// Key is the key of the record; base64 where it is not UTF-8. An event that is emitted without one keeps the key of
	// the record that was handled.
	Key string
	// Output is a name from the manifest's [outputs]; empty means "default". Only of events that are emitted.
	Output string
	// Topic, Partition and Offset tell where the record was. Only of the event that is handled.
	Topic, Partition, Offset string
	// Extensions are all other attributes.
	Extensions map[string]string
}

// Run handles the event on stdin and writes what the handler answers to stdout, then ends the program. An error asks for
// another attempt: it is the message of the dead letter once the attempts are used up.
func Run(handler func(Event) ([]Event, error)) {
	if err := run(os.Stdin, os.Stdout, handler); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, handler func(Event) ([]Event, error)) error {
	line, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	event, err := decode(line)
	if err != nil {
		return fmt.Errorf("stdin is no event: %w", err)
	}
	emitted, err := handler(event)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for number, emission := range emitted {
		if emission.ID == "" {
			emission.ID = fmt.Sprintf("%s/%d", event.ID, number)
		}
		if emission.Source == "" {
			emission.Source = event.Source
		}
		line, err := encode(emission)
		if err != nil {
			return fmt.Errorf("event %d: %w", number, err)
		}
		lines.Write(append(line, '\n'))
	}
	_, err = out.Write(lines.Bytes())
	return err
}

func decode(line []byte) (Event, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return Event{}, err
	}
	event := Event{Extensions: map[string]string{}}
	for name, value := range members {
		if name == "data" {
			event.Data = value
			continue
		}
		text := string(value)
		if strings.HasPrefix(text, `"`) {
			if err := json.Unmarshal(value, &text); err != nil {
				return Event{}, err
			}
		}
		switch name {
		case "specversion":
		case "data_base64":
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return Event{}, err
			}
			event.Data = data
		default:
			if field := event.attribute(name, false); field != nil {
				*field = text
			} else {
				event.Extensions[name] = text
			}
		}
	}
	return event, nil
}

func encode(event Event) ([]byte, error) {
	members := map[string]any{"specversion": "1.0"}
	for name, value := range event.Extensions {
		members[name] = value
	}
	for _, name := range []string{"id", "source", "type", "subject", "time", "dataschema", "datacontenttype",
		"partitionkey", "millstreamoutput"} {
		if value := *event.attribute(name, true); value != "" {
			members[name] = value
		}
	}
	switch {
	case event.Data == nil:
	case isJSON(event.ContentType) && json.Valid(event.Data):
		members["data"] = json.RawMessage(event.Data)
	default:
		members["data_base64"] = event.Data
	}
	return json.Marshal(members)
}

// attribute is the field of an attribute. A record's key has another name where it is told than where it is asked for.
func (event *Event) attribute(name string, emitted bool) *string {
	switch name {
	case "id":
		return &event.ID
	case "source":
		return &event.Source
	case "type":
		return &event.Type
	case "subject":
		return &event.Subject
	case "time":
		return &event.Time
	case "dataschema":
		return &event.Schema
	case "datacontenttype":
		return &event.ContentType
	}
	switch {
	case emitted && name == "partitionkey", !emitted && name == "millstreamkey":
		return &event.Key
	case emitted && name == "millstreamoutput":
		return &event.Output
	case !emitted && name == "millstreamtopic":
		return &event.Topic
	case !emitted && name == "millstreampartition":
		return &event.Partition
	case !emitted && name == "millstreamoffset":
		return &event.Offset
	}
	return nil
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	return strings.HasSuffix(mediaType, "/json") || strings.HasSuffix(mediaType, "+json")
}
