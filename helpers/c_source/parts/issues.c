//@ issues: together held prepare
#include <regex.h>

/* A known defect. It is there when its probe, on memory of a kind, differs from the contract. */
struct issue {
	const char *name;
	void (*probe)(void);
	uint32_t kind;
	/* What a test says that fails for it: a regular expression. */
	const char *match;
	enum { NOT_ASKED, ABSENT, THERE } answer;
};

/* Whether the kernel shows a defect, asked once. */
static int shows(struct issue *issue)
{
	if (issue->answer == NOT_ASKED) {
		const struct kind *before = kind;

		kind = kind_of(issue->kind);
		status = KEEPS;
		all_soft_dirty = has_soft_dirty;
		if (!sigsetjmp(way_out, 0))
			issue->probe();
		clean_up();
		issue->answer = status == DIFFERS ? THERE : ABSENT;
		kind = before;
		said_length = 0;
	}
	return issue->answer == THERE;
}

static int says(const char *expression)
{
	regex_t match;
	int found;

	if (regcomp(&match, expression, REG_EXTENDED | REG_NOSUB))
		return 0;
	found = regexec(&match, said, 0, NULL, 0) == 0;
	regfree(&match);
	return found;
}
