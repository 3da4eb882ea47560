// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The contrast of what stands on what, from the colors in the file (WCAG 2.2,
// sections 1.4.3 and 1.4.11), in light and in dark.
func TestContrast(t *testing.T) {
	text, err := os.ReadFile("tegata.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark := palettes(t, string(text))
	const words, shapes = 4.5, 3.0
	pairs := []struct {
		what, front, back string
		least             float64
	}{
		{"text of the page", "ink", "paper", words},
		{"text of the card", "ink", "card", words},
		{"explanations", "soft", "card", words},
		{"footer", "soft", "paper", words},
		{"text of the button", "on-accent", "accent", words},
		{"text of a problem", "alarm", "alarm-paper", words},
		{"border of a field", "field", "card", shapes},
		{"focus ring on the card", "accent", "card", shapes},
		{"focus ring on the page", "accent", "paper", shapes},
		{"button on the card", "accent", "card", shapes},
		{"mark", "accent", "card", shapes},
		{"bar beside a problem", "alarm", "card", shapes},
	}
	for mode, palette := range map[string]map[string]string{"light": light, "dark": dark} {
		for _, pair := range pairs {
			front, back := color(t, palette, pair.front), color(t, palette, pair.back)
			if got := contrast(front, back); got < pair.least {
				t.Errorf("%s, %s: --%s on --%s has %.2f:1, want at least %.1f:1", mode, pair.what, pair.front, pair.back, got, pair.least)
			}
		}
		// The button under the pointer is drawn brighter, its text too.
		if hover := regexp.MustCompile(`button:hover \{ filter: brightness\(([\d.]+)\)`).FindStringSubmatch(string(text)); hover != nil {
			factor, err := strconv.ParseFloat(hover[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			front, back := brighter(color(t, palette, "on-accent"), factor), brighter(color(t, palette, "accent"), factor)
			if got := contrast(front, back); got < words {
				t.Errorf("%s, button under the pointer: %.2f:1, want at least %.1f:1", mode, got, words)
			}
		}
	}
	// Colors have names, so that the list above is complete.
	for number, line := range strings.Split(string(text), "\n") {
		if strings.Contains(line, "#") && !strings.Contains(line, "--") {
			t.Errorf("tegata.css:%d: a color outside the palette: %s", number+1, line)
		}
	}
}

var variable = regexp.MustCompile(`--([\w-]+):\s*(#[0-9a-f]{6})\b`)

// palettes reads the colors of :root, then those that the dark scheme changes.
func palettes(t *testing.T, css string) (light, dark map[string]string) {
	t.Helper()
	before, after, ok := strings.Cut(css, "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("the style sheet knows no dark scheme")
	}
	light, dark = map[string]string{}, map[string]string{}
	for _, match := range variable.FindAllStringSubmatch(before, -1) {
		light[match[1]], dark[match[1]] = match[2], match[2]
	}
	for _, match := range variable.FindAllStringSubmatch(after, -1) {
		dark[match[1]] = match[2]
	}
	if len(light) < 8 {
		t.Fatalf("got the palette %v, want all of it", light)
	}
	return light, dark
}

type rgb [3]float64

func color(t *testing.T, palette map[string]string, name string) (c rgb) {
	t.Helper()
	var r, g, b int
	if _, err := fmt.Sscanf(palette[name], "#%02x%02x%02x", &r, &g, &b); err != nil {
		t.Fatalf("--%s is %q: %v", name, palette[name], err)
	}
	return rgb{float64(r) / 255, float64(g) / 255, float64(b) / 255}
}

func brighter(c rgb, factor float64) rgb {
	for n := range c {
		c[n] = min(1, c[n]*factor)
	}
	return c
}

// contrast is the ratio of WCAG 2.2 (relative luminance of sRGB).
func contrast(one, other rgb) float64 {
	a, b := luminance(one), luminance(other)
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

func luminance(c rgb) float64 {
	for n, v := range c {
		if v <= 0.04045 {
			c[n] = v / 12.92
		} else {
			c[n] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
}

func TestContrastIsComputedRight(t *testing.T) {
	black, white, gray := rgb{}, rgb{1, 1, 1}, rgb{0x76 / 255., 0x76 / 255., 0x76 / 255.}
	for _, test := range []struct {
		one, other rgb
		want       float64
	}{{black, white, 21}, {white, white, 1}, {gray, white, 4.54}} {
		if got := contrast(test.one, test.other); math.Abs(got-test.want) > 0.01 {
			t.Errorf("got %.3f, want %.2f", got, test.want)
		}
	}
}
