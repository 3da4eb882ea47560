// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package axe runs axe-core on a page in a real browser: what it finds keeps
// somebody from using the page who has no mouse, or does not see it as we do.
//
// It runs in a world of its own beside the page, so the page's content
// security policy stays as it is, and a page without script has none.
package axe

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/tegata/tegata/test/npm"

	protocol "github.com/chromedp/cdproto/runtime"
)

// tags are the rules that a page must follow: WCAG 2.2 to level AA, and what
// axe-core's authors add to it.
var tags = []string{"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"}

// source is the text of axe-core.
var source = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	modules, err := npm.Install(filepath.Dir(here))
	if err != nil {
		return "", fmt.Errorf("installing axe-core: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(modules, "axe-core", "axe.min.js"))
	return string(text), err
})

// finding is a rule that a page breaks, and where.
type finding struct {
	Rule   string   `json:"id"`
	Help   string   `json:"help"`
	Places []string `json:"places"`
}

// Page is one page in the browser, until another is opened.
type Page struct{ world protocol.ExecutionContextID }

// Open brings axe-core to the page that the browser shows.
func Open(ctx context.Context) (*Page, error) {
	text, err := source()
	if err != nil {
		return nil, err
	}
	p := &Page{}
	err = chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		tree, err := cdp.Call(ctx, target, page.GetFrameTree, cdp.Empty{})
		if err != nil {
			return err
		}
		world, err := cdp.Call(ctx, target, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: "axe"})
		if err != nil {
			return err
		}
		p.world = world.ExecutionContextID
		return nil
	}))
	if err == nil {
		_, err = chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void](text+"\n;undefined", p.inWorld))
	}
	if err != nil {
		return nil, fmt.Errorf("bringing axe-core to the page: %w", err)
	}
	return p, nil
}

func (p *Page) inWorld(e *protocol.EvaluateParams) { e.ContextID = p.world }

// Check returns what is wrong with the page as it is now, one line for each
// rule that it breaks.
func (p *Page) Check(ctx context.Context) (problems []string, err error) {
	options, err := json.Marshal(map[string]any{
		"runOnly": map[string]any{"type": "tag", "values": tags}, "resultTypes": []string{"violations"},
	})
	if err != nil {
		return nil, err
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]finding](
		`axe.run(document, `+string(options)+`).then(r => r.violations.map(v => ({id: v.id, help: v.help, places: v.nodes.map(n => n.html.slice(0, 200))})))`,
		chromedp.EvalAwaitPromise, p.inWorld))
	if err != nil {
		return nil, fmt.Errorf("running axe-core: %w", err)
	}
	for _, f := range found {
		problems = append(problems, f.Rule+": "+f.Help+": "+strings.Join(f.Places, " | "))
	}
	return problems, nil
}
