package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestEachItemHasItsTotal(t *testing.T) {
	in := `{"specversion":"1.0","id":"7","source":"/shop","type":"sales.day","datacontenttype":"text/plain",` +
		`"millstreamkey":"monday","data_base64":"bGFtcCA0MApsYW1wIDU1Cg=="}`
	var out bytes.Buffer
	if err := run(strings.NewReader(in), &out, handle); err != nil {
		t.Fatal(err)
	}
	want := `{"data":{"item":"lamp","count":2,"amount":95},"datacontenttype":"application/json","id":"7/0",` +
		`"partitionkey":"lamp","source":"/shop","specversion":"1.0","type":"sales.total"}` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
}

func TestALineThatIsNoSaleIsToldAndNothingIsEmitted(t *testing.T) {
	in := `{"specversion":"1.0","id":"7","source":"/shop","type":"sales.day","data":"lamp"}`
	var out bytes.Buffer
	err := run(strings.NewReader(in), &out, handle)
	if err == nil || !strings.Contains(err.Error(), "line 1 is not") || out.Len() != 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}
