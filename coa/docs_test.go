package coa

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"sallyport/coa/recipe"
	"sallyport/netio/radius/dictionary"
)

const document = "../ops/docs/COA.md"

// TestDocument holds the tables of the document against the program; -rewrite writes them.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var causes strings.Builder
	causes.WriteString("| cause | follows | what it means, what to look at |\n|---|---|---|\n")
	for _, c := range consequences {
		fmt.Fprintf(&causes, "| %d %s | %s | %s |\n", c.cause, dictionary.ErrorCause(c.cause), c.action, c.words)
	}
	none := consequenceOf(0)
	fmt.Fprintf(&causes, "| none, or another | %s | %s |\n", none.action, none.words)
	var kinds strings.Builder
	kinds.WriteString("| recipe | port | a new authorization | reauthenticate | bounce | confirmed by |\n|---|---|---|---|---|---|\n")
	for _, name := range recipe.Names() {
		r, _ := recipe.Lookup(name)
		signs := r.Signs(r.Apply(), &recipe.Grant{DACLName: "any"}).Words()
		if signs == "" {
			signs = "nothing that can be seen"
		}
		fmt.Fprintf(&kinds, "| %s | %d | %s | %s | %s | %s |\n", name, r.Port(), r.Apply(), r.Means(recipe.Reauthenticate), r.Means(recipe.Bounce), signs)
	}
	want := between(t, between(t, string(text), "causes", causes.String()), "recipes", kinds.String())
	if want == string(text) {
		return
	}
	if flag.Lookup("rewrite").Value.String() != "true" {
		t.Fatalf("%s is not what the program says: go test ./coa -run TestDocument -rewrite", document)
	}
	if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// between replaces what stands between a mark and the next end.
func between(t *testing.T, text, mark, table string) string {
	t.Helper()
	before, rest, ok := strings.Cut(text, "<!-- "+mark+" -->\n")
	_, after, end := strings.Cut(rest, "<!-- end -->\n")
	if !ok || !end {
		t.Fatalf("%s has no place for %s", document, mark)
	}
	return before + "<!-- " + mark + " -->\n" + table + "<!-- end -->\n" + after
}
