//@ promised: base
/* What a userfaultfd agreed to do, and what a document says to succeed, is promised, and under test. */
static void promised(int result, const char *what)
{
	if (result < 0)
		end(DIFFERS, "doesn't keep the clause: %s: %s", what, strerror(errno));
}

//@ refused: base
/* What a document says to be refused, and with which errno, is under test as well. */
static void refused(int result, const char *what, int error)
{
	int found = result < 0 ? errno : 0;

	if (found != error)
		end(DIFFERS, "doesn't keep the clause: %s: %s, not %s", what, strerror(found), strerror(error));
}
