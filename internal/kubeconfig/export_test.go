// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

// Edit makes changes to a text, as Update does to a file.
func Edit(text string, changes ...Change) (string, error) {
	for _, c := range changes {
		d, err := parse("config", text)
		if err != nil {
			return "", err
		}
		e := newEditor(d)
		if err := c.make(e); err != nil {
			return "", err
		}
		if text, err = e.result(); err != nil {
			return "", err
		}
	}
	return text, nil
}

// Parse reads a text, as Load does a file.
func Parse(text string) (*Config, error) {
	d, err := parse("config", text)
	if err != nil {
		return nil, err
	}
	return &Config{Paths: []string{d.path}, documents: []*document{d}}, nil
}
