package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"understudy.example/pkg/problem"
)

// Profile says which keys of a group may be updated. It is part of the group's
// state and immutable.
//
// Its JSON is {"initial": {KEY: VALUE…}, "read_only": [KEY…], "other_keys":
// "allow" or "refuse"}, where every part may be left out. Keys in read_only can
// be neither set nor deleted. Keys outside initial can be updated unless
// other_keys is "refuse"; "allow" is the default.
type Profile struct {
	initial    map[string]string
	readOnly   map[string]bool
	refuseRest bool
}

// profileDocument is the JSON form of a profile.
type profileDocument struct {
	Initial   json.RawMessage `json:"initial"`
	ReadOnly  []string        `json:"read_only"`
	OtherKeys string          `json:"other_keys"`
}

// Values of other_keys.
const (
	allowOthers  = "allow"
	refuseOthers = "refuse"
)

// ParseProfile reads the JSON of a profile. Unknown fields, values that are not
// strings and keys that no request could name are refused.
func ParseProfile(text []byte) (*Profile, error) {
	doc, err := parseDocument(text)
	if err != nil {
		return nil, fmt.Errorf("the profile is not valid: %w", err)
	}
	p := &Profile{initial: map[string]string{}, readOnly: map[string]bool{}}
	if err := p.setInitial(doc.Initial); err != nil {
		return nil, fmt.Errorf("the profile is not valid: initial: %w", err)
	}
	for _, key := range doc.ReadOnly {
		if err := CheckKey(key); err != nil {
			return nil, fmt.Errorf("the profile is not valid: read_only: %w", err)
		}
		p.readOnly[key] = true
	}
	switch doc.OtherKeys {
	case "", allowOthers:
	case refuseOthers:
		p.refuseRest = true
	default:
		return nil, fmt.Errorf("the profile is not valid: other_keys is %q: %q or %q", doc.OtherKeys, allowOthers, refuseOthers)
	}
	return p, nil
}

func parseDocument(text []byte) (profileDocument, error) {
	var doc profileDocument
	if err := checkUTF8(text); err != nil {
		return doc, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return doc, explainJSON(err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("null")) {
		return doc, errors.New("it is null: a profile is an object with initial, read_only and other_keys")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return doc, errors.New("something follows the JSON object")
	}
	return doc, nil
}

// explainJSON says in the words of a profile what encoding/json found.
func explainJSON(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field == "" {
		return fmt.Errorf("it is a JSON %s: a profile is an object with initial, read_only and other_keys", e.Value)
	} else if ok {
		return fmt.Errorf("%s holds a JSON %s: read_only is a list of keys, other_keys %q or %q", e.Field, e.Value, allowOthers, refuseOthers)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("it has a field %s: the fields are initial, read_only and other_keys", name)
	}
	return fmt.Errorf("it is no JSON: %w", err)
}

func (p *Profile) setInitial(text json.RawMessage) error {
	if len(text) == 0 {
		return nil
	}
	values, err := ParseObject(text)
	if err != nil {
		return err
	}
	for key, value := range values {
		if value == nil {
			return problem.Errorf(problem.BadRequest, "key %s is null: an initial value is a string", quote(key))
		}
		if err := CheckKey(key); err != nil {
			return err
		}
		if err := checkValue(key, len(*value)); err != nil {
			return err
		}
		p.initial[key] = *value
	}
	return nil
}

// MarshalJSON implements [json.Marshaler]. Equal profiles have equal text.
func (p *Profile) MarshalJSON() ([]byte, error) {
	others := allowOthers
	if p.refuseRest {
		others = refuseOthers
	}
	initial, err := json.Marshal(p.initial)
	if err != nil {
		return nil, fmt.Errorf("encode the initial map: %w", err)
	}
	return json.Marshal(profileDocument{Initial: initial, ReadOnly: p.readOnlyKeys(), OtherKeys: others})
}

func (p *Profile) readOnlyKeys() []string {
	keys := make([]string, 0, len(p.readOnly))
	for key := range p.readOnly {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
