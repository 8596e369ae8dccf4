package journal

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestRecordIsWrittenDownAndReadBack(t *testing.T) {
	began := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	want := Record{
		Version: Version, ID: "c1", Started: began, Answered: began.Add(time.Second), Kind: "pv", Source: "192.0.2.2:5061", AgentFrom: "sip:e@h", AgentName: "Eve", TwilioSID: "CA1", TwilioParentSID: "CA2",
		Legs: []Leg{{
			Name: "a", State: "up", Peer: "twilio", Names: []string{"sip.twilio.com"}, Refers: 1, ReferAccepted: 4, ReferSent: 2, InviteCSeq: 1, InviteBranch: "z9hG4bK1",
			Invite: json.RawMessage(`{"tag":"l"}`),
			Dialog: Dialog{
				Role: "uas", CallID: "id", LocalTag: "l", RemoteTag: "r", LocalURI: "sip:l@h", LocalName: "Eve", RemoteURI: "sip:r@h",
				RemoteTarget: "sip:t@h", RouteSet: []string{"<sip:p;lr>"}, Contact: "<sip:e@h>", LocalCSeq: 3, RemoteCSeq: 29044,
			},
			Spare: true, SessionInterval: 30 * time.Minute, SessionSince: began, Refreshes: true, TakesUPDATE: true,
			Session: Session{Remote: []byte("v=0\r\n"), Local: []byte("v=0\r\n"), OriginID: 7, OriginVersion: 2, OriginSum: 9},
		}},
		Media: json.RawMessage(`{"ports":[10000]}`),
		Transfer: &Transfer{
			Event: "refer;id=2", ReferTo: "<sip:q@h>", Machine: json.RawMessage(`{"state":1}`), Began: began, Since: began,
			Asked: json.RawMessage(`{"to":"x"}`), Attempted: "refer", Owed: 200, Parting: true,
		},
		Terminated: true, Bridged: true, Reason: "transferred", Ended: began, Outcomes: []string{"refer proved"},
		CDR: json.RawMessage(`{"from":"x"}`),
	}
	// Every field is filled, or a field that is not written down would be missed here.
	assertFilled(t, reflect.ValueOf(want), "Record")
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n%+v\nwritten\n%+v", got, want)
	}
}

func assertFilled(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is not filled", name)
	}
	switch v.Kind() {
	case reflect.Pointer:
		assertFilled(t, v.Elem(), name)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			assertFilled(t, v.Field(i), name+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			assertFilled(t, v.Index(0), name+"[0]")
		}
	}
}

func TestNewerRecordIsRefused(t *testing.T) {
	if _, err := Decode([]byte(`{"version": 99, "id": "c1"}`)); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v", err)
	}
}

func TestBrokenRecordIsAnError(t *testing.T) {
	if _, err := Decode([]byte(`{"version": 1, "legs": 3}`)); err == nil {
		t.Error("no error")
	}
}

func TestMemoryKeepsTheLastRecordUntilItsCallEnds(t *testing.T) {
	m := NewMemory()
	for _, kind := range []string{"pv", "trunk"} {
		written := false
		m.Put(func() Record { return Record{ID: "c1", Kind: kind} }, func(err error) { written = err == nil })
		if !written {
			t.Fatal("not written")
		}
	}
	if r, err := m.Get("c1"); err != nil || r.Kind != "trunk" {
		t.Errorf("got %+v, %v", r, err)
	}
	m.Delete("c1", nil)
	if m.Len() != 0 {
		t.Error("record stays")
	}
}
