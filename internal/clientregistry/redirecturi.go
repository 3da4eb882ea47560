// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// AllowsRedirectURI reports whether an answer may go to uri. It must equal a
// registered one byte by byte (RFC 9700, section 2.1), except that the port
// of a loopback URI is free (RFC 8252, section 7.3), for localhost too: the
// plugins of kubectl use it, and they take whatever port is left.
func (c Client) AllowsRedirectURI(uri string) bool {
	for _, registered := range c.RedirectURIs {
		if uri == registered || equalButPort(uri, registered) {
			return true
		}
	}
	return false
}

func equalButPort(uri, registered string) bool {
	a, aOK := splitLoopback(uri)
	b, bOK := splitLoopback(registered)
	return aOK && bOK && a == b
}

// loopback is a loopback redirect URI without its port.
type loopback struct{ host, rest string }

// splitLoopback takes apart http://HOST[:PORT]REST by hand, because it must
// agree with the browser that will follow it: nothing is decoded and nothing
// is normalized, and what is not exactly of this form is no loopback URI.
func splitLoopback(uri string) (loopback, bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return loopback{}, false
	}
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
		rest, ok := strings.CutPrefix(after, host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			digits := len(port) - len(strings.TrimLeft(port, "0123456789"))
			if number, err := strconv.Atoi(port[:digits]); err != nil || number < 1 || number > 65535 {
				return loopback{}, false
			}
			rest = port[digits:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return loopback{}, false
		}
		return loopback{host, rest}, CheckRedirectURI(uri) == nil
	}
	return loopback{}, false
}

// CheckRedirectURI tells why a URI cannot be registered or answered to, or
// returns nil. RFC 6749, section 3.1.2: absolute and without a fragment;
// RFC 9700, section 2.6: https, or http for loopback addresses alone, or a
// private-use scheme of a native app (RFC 8252, section 7.1).
func CheckRedirectURI(uri string) error { return checkReturnURI("redirect URI", uri) }

// checkReturnURI is the same for every URI that a browser is sent to; what
// is its name.
func checkReturnURI(what, uri string) error {
	for _, r := range uri {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"<>\^{|}`+"`", r) {
			return fmt.Errorf("%s %q contains a character that a URI cannot", what, uri)
		}
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return fmt.Errorf("%s %q cannot be parsed", what, uri)
	case u.Scheme == "":
		return fmt.Errorf("%s %q is not absolute", what, uri)
	case strings.Contains(uri, "#"):
		return fmt.Errorf("%s %q has a fragment", what, uri)
	case u.User != nil:
		return fmt.Errorf("%s %q contains a user name", what, uri)
	case strings.ContainsAny(u.Host, "!$&'()+,;=%"):
		// It comes to stand in a Content-Security-Policy.
		return fmt.Errorf("%s %q has a host with a character that no host has", what, uri)
	case strings.Contains(uri, "*"):
		return fmt.Errorf("%s %q contains a wildcard; each is registered in full", what, uri)
	}
	switch u.Scheme {
	case "https":
		if u.Hostname() == "" {
			return fmt.Errorf("%s %q has no host", what, uri)
		}
	case "http":
		switch u.Hostname() {
		case "localhost", "127.0.0.1", "::1":
		default:
			return fmt.Errorf("%s %q is http; only loopback addresses may do without https", what, uri)
		}
	default:
		// A private-use scheme is a reversed domain name, so it has a dot;
		// that also keeps javascript: and data: out.
		if !strings.Contains(u.Scheme, ".") {
			return fmt.Errorf("%s %q has the scheme %s; use https, or http on a loopback address", what, uri, u.Scheme)
		}
	}
	return nil
}

// AllowsPostLogoutRedirectURI reports whether the browser may go to uri after
// a logout (RP-Initiated Logout 1.0, section 3): like a redirect URI, it must
// equal a registered one, but for the port of a loopback address.
func (c Client) AllowsPostLogoutRedirectURI(uri string) bool {
	for _, registered := range c.PostLogoutRedirectURIs {
		if uri == registered || equalButPort(uri, registered) {
			return true
		}
	}
	return false
}

// checkServedURI tells why a URI cannot be one that we call ourselves, or
// returns nil: https, or http on a loopback address.
func checkServedURI(what, uri string) error {
	if err := checkReturnURI(what, uri); err != nil {
		return err
	}
	if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
		return fmt.Errorf("%s %q must be https, or http on a loopback address", what, uri)
	}
	return nil
}

// checkOrigin tells why a text is not the origin of a web page (the HTML
// standard: scheme, host and port, as browsers write it), or returns nil.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case origin == "*" || origin == "null":
		return fmt.Errorf("origin %q stands for every page; name each one", origin)
	case err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin:
		return fmt.Errorf("origin %q is not scheme://host, with a port if it is not the usual one and nothing after it", origin)
	case strings.ToLower(origin) != origin:
		return fmt.Errorf("origin %q has capital letters, which browsers never send", origin)
	case u.Port() == "443" && u.Scheme == "https" || u.Port() == "80" && u.Scheme == "http" || strings.HasSuffix(origin, ":"):
		return fmt.Errorf("origin %q names the usual port, which browsers leave out", origin)
	}
	return checkServedURI("origin", origin)
}
