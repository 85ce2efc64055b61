/* Figures for humans, and JSON for programs. */
#include "admin/cli.h"

void cli_print_json(struct cli *cli, const json_t *json)
{
	(void)json_dumpf(json, cli->out, JSON_INDENT(2) | JSON_ENCODE_ANY);
	(void)fprintf(cli->out, "\n");
}

void cli_put_size(struct buffer *out, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t unit = 1024;
	size_t i = 0;

	if (bytes < 1024) {
		buffer_printf(out, "%u bytes", (unsigned)bytes);
		return;
	}
	while (i + 1 < ARRAY_LEN(units) && bytes / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	buffer_printf(out, "%u.%u %s", (unsigned)(bytes / unit), (unsigned)(bytes % unit / (unit / 1024) * 10 / 1024),
		units[i]);
}

void cli_put_time(struct buffer *out, int64_t ms)
{
	struct civil_time t = civil_of(ms / 1000, 0);

	buffer_printf(out, "%04d-%02d-%02d %02d:%02d:%02d UTC", t.year, t.month, t.day, t.hour, t.minute, t.second);
}

const char *cli_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

uint64_t cli_number(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (uint64_t)value : 0;
}

int cli_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	struct slice number = slice_of(text);
	uint64_t unit = 1, value;

	if (slice_equal_nocase(number, SLICE("none"))) {
		*ret_bytes = 0;
		return 0;
	}
	for (size_t i = 0; number.len && units[i]; i++) {
		if (byte_upper(number.at[number.len - 1]) != units[i])
			continue;
		unit = (uint64_t)1 << (10 * (i + 1));
		number = slice_first(number, number.len - 1);
		break;
	}
	if (number.len == 0 || slice_to_u64(number, (uint64_t)INT64_MAX / unit, &value) != 0)
		return -EINVAL;
	*ret_bytes = value * unit;
	return 0;
}
