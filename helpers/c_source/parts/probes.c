//@ probes: together held prepare errata
/* A short program, on memory of a kind, in which the contract and the contract with an erratum part. */
struct probe {
	uint64_t erratum;
	void (*run)(void);
	uint32_t kind;
};

/* The probe that runs. */
static const struct probe *probe;

/* Finds out which errata the kernel has: those that every answer of their probe shows. */
static void find_errata(const struct probe *probes)
{
	for (probe = probes; probe->run; probe++) {
		kind = kind_of(probe->kind);
		status = KEEPS;
		all_soft_dirty = has_soft_dirty;
		keeps = shows = 1;
		probed = probe->erratum;
		alarm(300);
		if (!sigsetjmp(way_out, 0))
			probe->run();
		clean_up();
		present |= status == KEEPS && shows && !keeps ? probe->erratum : 0;
		probed = 0;
		said_length = 0;
	}
}
