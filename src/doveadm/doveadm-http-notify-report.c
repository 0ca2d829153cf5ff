/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify report */
#include "lib.h"
#include "str.h"

#include "admin-command.h"
#include "doveadm-http-notify.h"
#include "report.h"
#include "report-page.h"

static const struct admin_column report_columns[] = {
	{ "page", "page", 0 },
};

static void
cmd_http_notify_report(struct doveadm_cmd_context *cctx ATTR_UNUSED)
{
	struct report *report = report_get();
	string_t *page;

	if (report == NULL)
		return;
	page = str_new(default_pool, 64*1024);
	report_page_append(page, report);
	report_free(&report);

	/* the page alone, unless another formatter was chosen */
	admin_print_headers(DOVEADM_PRINT_TYPE_FORMATTED, report_columns,
			    N_ELEMENTS(report_columns));
	doveadm_print_formatted_set_format("%{page}");
	doveadm_print(str_c(page));
	str_free(&page);
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_report = {
	.name = "http-notify report",
	.cmd = cmd_http_notify_report,
	.usage = "",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAMS_END
};
