package understudy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const (
	pathState = "/v1/state"
	pathKeys  = "/v1/kv"
	maxKey    = 1024 // bytes
)

// Entry is a key with its value.
type Entry struct {
	Key   string
	Value []byte
	ETag  string // changes with every write of the key
}

// Get returns the entry of a key, or ErrNotFound.
func (c *Client) Get(ctx context.Context, key string, options ...Option) (Entry, error) {
	target, err := targetOfKey(key)
	if err != nil {
		return Entry{}, err
	}
	res, err := c.read(ctx, target, options)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Key: key, Value: res.Body, ETag: res.Header.Get("Etag")}, nil
}

// Put sets the value of a key and returns its new ETag. The value must not be
// changed until Put returns.
func (c *Client) Put(ctx context.Context, key string, value []byte, options ...Option) (etag string, err error) {
	res, err := c.writeKey(ctx, http.MethodPut, key, value, options)
	if err != nil {
		return "", err
	}
	return res.Header.Get("Etag"), nil
}

// Delete removes a key, or returns ErrNotFound.
func (c *Client) Delete(ctx context.Context, key string, options ...Option) error {
	_, err := c.writeKey(ctx, http.MethodDelete, key, nil, options)
	return err
}

func (c *Client) writeKey(ctx context.Context, method, key string, value []byte, options []Option) (*link.Response, error) {
	target, err := targetOfKey(key)
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, &link.Request{Method: method, Target: target, Header: headersOf(options), Body: value})
}

func targetOfKey(key string) (string, error) {
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) {
		return "", failed(problem.Errorf(problem.BadRequest, "the key %.40q has %d bytes: a key is UTF-8 of 1 to %d bytes", key, len(key), maxKey))
	}
	return pathKeys + "/" + url.PathEscape(key), nil
}

// Update sets the keys of changes, and removes those whose value is nil: all of
// them or none. It returns the whole map as it is then; where the end of a long answer
// is lost, by reading it anew, with a hold of its own. Values are UTF-8; Put takes any
// bytes.
func (c *Client) Update(ctx context.Context, changes map[string]*string, options ...Option) (map[string]string, error) {
	for key, value := range changes {
		if value != nil && !utf8.ValidString(*value) {
			return nil, failed(problem.Errorf(problem.BadRequest, "the value of %.40q is not UTF-8: Put takes any bytes", key))
		}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(changes); err != nil {
		return nil, fmt.Errorf("encode the changes: %w", err)
	}
	h := headersOf(options)
	h.Set("Content-Type", "application/merge-patch+json")
	res, err := c.ask(ctx, &link.Request{Method: http.MethodPatch, Target: pathState, Header: h, Body: body.Bytes()})
	if errors.Is(err, errCut) { // it was applied, and only the map is missing
		state, err := c.State(ctx)
		if err != nil {
			err = fmt.Errorf("the changes were made, and the map could not be read after them: %w", err)
		}
		return state, err
	}
	if err != nil {
		return nil, err
	}
	return decodeState(res.Body)
}

// State returns the whole map.
func (c *Client) State(ctx context.Context, options ...Option) (map[string]string, error) {
	res, err := c.read(ctx, pathState, options)
	if err != nil {
		return nil, err
	}
	return decodeState(res.Body)
}

// value is a value of the map in JSON: a string, or its bytes in base64.
type value string

// UnmarshalJSON implements [json.Unmarshaler].
func (v *value) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(v))
	}
	var binary struct {
		Base64 []byte `json:"base64"`
	}
	if err := json.Unmarshal(text, &binary); err != nil {
		return err
	}
	*v = value(binary.Base64)
	return nil
}

func decodeState(text []byte) (map[string]string, error) {
	var values map[string]value
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("read the map: %w", err)
	}
	state := make(map[string]string, len(values))
	for key, v := range values {
		state[key] = string(v)
	}
	return state, nil
}

// List returns the entries whose keys begin with the prefix and come after the
// key that after names, in the order of the keys: at most limit of them, or
// where limit is 0 as many as the group finds fit. next is the after of the next
// page, "" behind the last one. Each page is a state of its own.
func (c *Client) List(ctx context.Context, prefix, after string, limit int, options ...Option) (entries []Entry, next string, err error) {
	query := url.Values{}
	for name, text := range map[string]string{"prefix": prefix, "after": after} {
		if text != "" {
			query.Set(name, text)
		}
	}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	res, err := c.read(ctx, pathKeys+"?"+query.Encode(), options)
	if err != nil {
		return nil, "", err
	}
	var page wire.Page
	if err := json.Unmarshal(res.Body, &page); err != nil {
		return nil, "", fmt.Errorf("read the page: %w", err)
	}
	entries = make([]Entry, 0, len(page.Items))
	for _, item := range page.Items {
		text, err := bytesOf(item.Value, item.Base64)
		if err != nil {
			return nil, "", fmt.Errorf("read %.40q of the page: %w", item.Key, err)
		}
		entries = append(entries, Entry{Key: item.Key, Value: text, ETag: item.ETag})
	}
	return entries, page.Next, nil
}

// bytesOf returns a value that came as a string or in base64.
func bytesOf(text, inBase64 *string) ([]byte, error) {
	switch {
	case text != nil:
		return []byte(*text), nil
	case inBase64 != nil:
		return base64.StdEncoding.DecodeString(*inBase64)
	}
	return nil, errors.New("it has no value")
}
