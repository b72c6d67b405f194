//@ outcome: interface
/* What ends a test; UNFIT: its memory isn't what it should be by other witnesses than the scan. */
enum { KEEPS = 0, DIFFERS = 1, CANNOT_ASK = 4, UNFIT = 5 };

/* What there is to say about the outcome. */
static char said[1 << 18];
static size_t said_length;

__attribute__((format(printf, 1, 0))) static void say_with(const char *format, va_list arguments)
{
	int length = vsnprintf(said + said_length, sizeof(said) - said_length, format, arguments);

	said_length += length;
	if (said_length >= sizeof(said))
		said_length = sizeof(said) - 1;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_with(format, arguments);
	va_end(arguments);
}

/* Ends the test. */
__attribute__((noreturn)) static void leave(int status);

__attribute__((noreturn, format(printf, 2, 3))) static void end(int status, const char *format, ...)
{
	va_list arguments;

	say("# ");
	va_start(arguments, format);
	say_with(format, arguments);
	va_end(arguments);
	say("\n");
	leave(status);
}

/* What isn't under test must work; where it doesn't, nothing can be asked here. */
static long must(long result, const char *what)
{
	if (result < 0)
		end(CANNOT_ASK, "can't be asked here: %s: %s", what, strerror(errno));
	return result;
}

//@ alone: outcome
static void leave(int status)
{
	fputs(said, stdout);
	fflush(stdout);
	_exit(status == UNFIT ? CANNOT_ASK : status);
}

//@ together: outcome
#include <setjmp.h>

/* How the test that runs ended, which then goes on there. */
static int status;
static sigjmp_buf way_out;

static void leave(int outcome)
{
	status = outcome;
	siglongjmp(way_out, 1);
}
