// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"net/http"
	"net/url"
	"time"
)

// Seams for the tests of parsers and pages, which are nobody else's business.

func SplitCommand(line string) ([]string, error) { return splitCommand(line, true) }

func WithAddress(words []string, address string) []string { return withAddress(words, address) }

func ReadCallback(query string) (url.Values, error) { return readCallback(query) }

func AcceptedLanguage(header string) string { return string(acceptedLanguage(header)) }

func Plain(text string) string { return plain(text) }

func SuccessPage(language_, name, client string) string {
	return successPage(language(language_), name, client).body
}

func FailurePage(language_ string, reason error) string {
	return failurePage(language(language_), reason).body
}

func StrangerPage(language_ string) string {
	return strangerPage(language(language_), http.StatusBadRequest).body
}

func ReadPasted(text, state string, mayBeCode bool) (url.Values, error) {
	return readPasted(text, state, mayBeCode)
}

func ReadDevice(text []byte) (DeviceCode, time.Duration, error) {
	read, err := readDevice(text)
	return read.DeviceCode, read.interval, err
}
