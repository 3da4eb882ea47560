// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// entryVersion is the version of the file's form. A file of another version
// counts as absent.
const entryVersion = 1

// Tokens are what one login left behind.
type Tokens struct {
	IDToken      secret.String
	Expiry       time.Time // of the ID token, to the second
	RefreshToken secret.String
	Subject      oidc.Subject // who logged in

	// AccessToken is there if it is what is used in the place of the ID token.
	// Expiry is then its own.
	AccessToken secret.String

	// For those who list the cache: whose entry this is.
	Issuer   oidc.Issuer
	ClientID oidc.ClientID

	// KeyringMissed is when these tokens were kept in the clear because the
	// keyring could not be used, although they should have been sealed.
	KeyringMissed time.Time

	// Sealed says that they were read from a sealed entry. Saving does not look
	// at it.
	Sealed bool
}

// Bearer is the token for the API server.
func (t Tokens) Bearer() secret.String {
	if !t.AccessToken.IsZero() {
		return t.AccessToken
	}
	return t.IDToken
}

// formatTokens writes an entry, in JSON. It is the one place where tokens
// leave the program for storage.
func formatTokens(t Tokens) ([]byte, error) {
	text, err := json.Marshal(struct {
		Version      int           `json:"version"`
		Issuer       oidc.Issuer   `json:"issuer"`
		ClientID     oidc.ClientID `json:"client_id"`
		Subject      oidc.Subject  `json:"subject"`
		Expiry       int64         `json:"expiry"`
		IDToken      string        `json:"id_token"`
		RefreshToken string        `json:"refresh_token"`
		AccessToken  string        `json:"access_token,omitempty"`
		Missed       int64         `json:"keyring_missed,omitempty"`
	}{
		entryVersion, t.Issuer, t.ClientID, t.Subject, seconds(t.Expiry),
		t.IDToken.Reveal(), t.RefreshToken.Reveal(), t.AccessToken.Reveal(), seconds(t.KeyringMissed),
	})
	return append(text, '\n'), err
}

// seconds writes a time; 0 for none.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// moment reads it again.
func moment(number string) time.Time {
	if seconds, err := strconv.ParseInt(number, 10, 64); err == nil && seconds > 0 && seconds < 1<<37 {
		return time.Unix(seconds, 0)
	}
	return time.Time{}
}

// entry is a file's content: one of the two.
type entry struct {
	tokens Tokens
	sealed string
}

// parseEntry reads an entry. It returns [ErrAbsent] for anything else.
func parseEntry(text []byte) (entry, error) {
	read, ok := plainFields(string(text))
	if !ok {
		read, ok = jsonFields(text)
	}
	if !ok || read.numbers["version"] != strconv.Itoa(entryVersion) {
		return entry{}, ErrAbsent
	}
	if sealed := read.strings["sealed"]; sealed != "" {
		return entry{sealed: sealed}, nil
	}
	tokens := Tokens{
		IDToken:       secret.New(read.strings["id_token"]),
		Expiry:        moment(read.numbers["expiry"]),
		RefreshToken:  secret.New(read.strings["refresh_token"]),
		AccessToken:   secret.New(read.strings["access_token"]),
		Subject:       oidc.Subject(read.strings["subject"]),
		Issuer:        oidc.Issuer(read.strings["issuer"]),
		ClientID:      oidc.ClientID(read.strings["client_id"]),
		KeyringMissed: moment(read.numbers["keyring_missed"]),
	}
	if tokens.Bearer().IsZero() && tokens.RefreshToken.IsZero() {
		return entry{}, ErrAbsent
	}
	return entry{tokens: tokens}, nil
}

// fields are the members of a JSON object, by kind; numbers as written.
type fields struct{ strings, numbers map[string]string }

// plainFields reads an object as formatTokens writes it when no value needs
// an escape, which is nearly always: strings and whole numbers, without
// blanks. It saves the warm path encoding/json, which would take a megabyte
// and a tenth of its instructions; what it does not take is read by that.
func plainFields(text string) (read fields, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n"), "{")
	read = fields{make(map[string]string, 8), make(map[string]string, 4)}
	for ok {
		var name string
		if name, rest, ok = plainString(rest); !ok {
			break
		}
		if rest, ok = strings.CutPrefix(rest, ":"); !ok {
			break
		}
		if strings.HasPrefix(rest, `"`) {
			if read.strings[name], rest, ok = plainString(rest); !ok {
				break
			}
			delete(read.numbers, name)
		} else {
			digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
			if digits == 0 || digits > 1 && rest[0] == '0' {
				break
			}
			read.numbers[name], rest = rest[:digits], rest[digits:]
			delete(read.strings, name)
		}
		if rest == "}" {
			return read, true
		}
		rest, ok = strings.CutPrefix(rest, ",")
	}
	return fields{}, false
}

// plainString reads a quoted string of printable ASCII without escapes.
func plainString(text string) (value, rest string, ok bool) {
	text, ok = strings.CutPrefix(text, `"`)
	if !ok {
		return "", "", false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			return text[:i], text[i+1:], true
		case c == '\\' || c < ' ' || c > '~':
			return "", "", false
		}
	}
	return "", "", false
}

// jsonFields reads any JSON object; members that are neither string nor
// number are left out.
func jsonFields(text []byte) (read fields, ok bool) {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&object) != nil || object == nil || decoder.Decode(new(any)) != io.EOF {
		return fields{}, false
	}
	read = fields{map[string]string{}, map[string]string{}}
	for name, value := range object {
		switch value := value.(type) {
		case string:
			read.strings[name] = value
		case json.Number:
			read.numbers[name] = value.String()
		}
	}
	return read, true
}
