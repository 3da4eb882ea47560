// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// carried is a notice on its way to the next page, in a cookie that is sealed
// for the session. A secret in it rests nowhere, and is shown once: the page
// takes the cookie away.
type carried struct {
	What   page.ConsoleOutcome `json:"w"`
	About  string              `json:"a,omitempty"`
	Secret string              `json:"s,omitempty"`
	Detail string              `json:"d,omitempty"`
	At     int64               `json:"t"`
}

const (
	noticeLifetime = time.Minute
	maxNotice      = 300 // bytes of each text: a browser keeps some 4000 in a cookie
)

// leave answers a form: the browser goes to a page, which shows the notice.
func (h *Handler) leave(v *visit, path string, query url.Values, notice page.ConsoleNotice) {
	plain, err := json.Marshal(carried{
		notice.What, cut(notice.About), notice.Secret.Reveal(), cut(notice.Detail), h.Now().Unix(),
	})
	if err == nil {
		http.SetCookie(v.w, h.cookie(h.Seal.Seal(plain, v.session.ID), int(noticeLifetime/time.Second)))
	}
	http.Redirect(v.w, v.r, h.base()+at(path, query), http.StatusSeeOther)
}

func cut(text string) string { return text[:min(len(text), maxNotice)] }

// notice is what the form before wants to be shown.
func (h *Handler) notice(v *visit) page.ConsoleNotice {
	cookie, err := v.r.Cookie(h.Cookie)
	if err != nil || v.r.Method != http.MethodGet {
		return page.ConsoleNotice{}
	}
	http.SetCookie(v.w, h.cookie("", -1))
	var c carried
	plain, err := h.Seal.Open(cookie.Value, v.session.ID)
	if err != nil || json.Unmarshal(plain, &c) != nil || h.Now().Sub(time.Unix(c.At, 0)) > noticeLifetime {
		return page.ConsoleNotice{}
	}
	return page.ConsoleNotice{What: c.What, About: c.About, Secret: secret.New(c.Secret), Detail: c.Detail}
}

func (h *Handler) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: h.Cookie, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}
