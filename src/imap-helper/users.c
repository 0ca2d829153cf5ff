/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

#include "buffer.h"
#include "csv.h"
#include "users.h"

#define HEADER "login,user,context"

struct user_line {
	char *login;
	unsigned int number;
	struct ox_user user;
	bool bad;
};

/* Reads a file's lines without their line ends. Skips empty lines and a byte
   order mark. */
struct line_reader {
	FILE *file;
	char *line;
	size_t line_size; /* as allocated */
	size_t size;
	unsigned int number;
};

static bool line_reader_next(struct line_reader *reader)
{
	static const char bom[] = "\xef\xbb\xbf";
	ssize_t ret;

	do {
		ret = getline(&reader->line, &reader->line_size,
			      reader->file);
		if (ret < 0)
			return false;
		reader->number++;
		if (ret > 0 && reader->line[ret - 1] == '\n')
			ret--;
		if (ret > 0 && reader->line[ret - 1] == '\r')
			ret--;
		reader->line[ret] = '\0';
		if (reader->number == 1 && ret >= 3 &&
		    memcmp(reader->line, bom, 3) == 0) {
			ret -= 3;
			memmove(reader->line, reader->line + 3, ret + 1);
		}
	} while (ret == 0);
	reader->size = ret;
	return true;
}

static int
line_reader_end(struct line_reader *reader, const char **error_r)
{
	int ret = 0;

	if (ferror(reader->file)) {
		*error_r = strerror(errno);
		ret = -1;
	}
	free(reader->line);
	return ret;
}

/* Make room for one more element. */
static void *grow(void *array, size_t count, size_t element_size)
{
	/* doubled whenever the count is a power of two */
	if ((count & (count - 1)) != 0)
		return array;
	return alloc_again(array, (count == 0 ? 1 : count * 2) *
			   element_size);
}

static void __attribute__((format(printf, 6, 7)))
users_add_problem(struct users *users, const char *login,
		  enum session_action action, const char *file,
		  unsigned int line, const char *format, ...)
{
	struct user_problem *problem;
	struct buffer reason = {};
	char text[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buffer_printf(&reason, "%s, line %u: %s", file, line, text);

	users->problems = grow(users->problems, users->problem_count,
			       sizeof(*users->problems));
	problem = &users->problems[users->problem_count++];
	problem->login = login == NULL ? NULL : str_copy(login);
	problem->action = action;
	problem->reason = buffer_steal(&reason);
}

static void users_add_task(struct users *users, const char *login,
			   enum session_action action,
			   const struct ox_user *user)
{
	struct user_task *task;

	users->tasks = grow(users->tasks, users->task_count,
			    sizeof(*users->tasks));
	task = &users->tasks[users->task_count++];
	memset(task, 0, sizeof(*task));
	task->login = str_copy(login);
	task->action = action;
	if (user != NULL)
		ox_user_value(user, task->value);
}

const char *login_check(const char *login, size_t size, const char *separator)
{
	size_t i;

	if (size == 0)
		return "the login is empty";
	if (size > LOGIN_SIZE_MAX)
		return "the login is longer than 1024 bytes";
	for (i = 0; i < size; i++) {
		unsigned char chr = login[i];

		if (chr < 0x20 || chr == 0x7f)
			return "the login has control characters";
	}
	if (login[0] == ' ' || login[size - 1] == ' ')
		return "the login begins or ends with a space";
	if (!utf8_is_valid(login, size))
		return "the login is not UTF-8";
	if (separator != NULL && strstr(login, separator) != NULL)
		return "the login has the master separator in it";
	return NULL;
}

/* -- registrations -- */

static const char *
user_fields_parse(const char *const fields[], int count,
		  const char *separator, struct ox_user *user_r)
{
	const char *error = login_check(fields[0], strlen(fields[0]),
					separator);

	if (error != NULL)
		return error;
	if (count != 3)
		return "expected are three fields: "HEADER;
	if (ox_id_parse(fields[1], &user_r->id) < 0)
		return "user is not a number from 1 to 2147483647";
	if (ox_id_parse(fields[2], &user_r->context) < 0)
		return "context is not a number from 1 to 2147483647";
	return NULL;
}

static void
users_read_line(struct users *users, struct line_reader *reader,
		const char *name, const char *separator)
{
	const char *fields[3], *error;
	struct user_line *line;
	struct ox_user user = { 0, 0 };
	bool lost = strlen(reader->line) != reader->size;
	int count = -1;

	if (lost)
		error = "there is a NUL byte in it";
	else {
		count = csv_split(reader->line, fields, 3, &error);
		lost = count < 0;
	}
	if (!lost) {
		error = user_fields_parse(fields, count, separator, &user);
		lost = error != NULL &&
			login_check(fields[0], strlen(fields[0]), NULL) != NULL;
	}
	if (error != NULL || lost) {
		users_add_problem(users, lost ? NULL : fields[0],
				  SESSION_REGISTER, name, reader->number,
				  "%s", error);
	}
	if (lost) {
		if (users->lost_line == 0)
			users->lost_line = reader->number;
		return;
	}

	users->lines = grow(users->lines, users->line_count,
			    sizeof(*users->lines));
	line = &users->lines[users->line_count++];
	line->login = str_copy(fields[0]);
	line->number = reader->number;
	line->user = user;
	line->bad = error != NULL;
}

static int line_cmp_number(const void *p1, const void *p2)
{
	const struct user_line *line1 = p1, *line2 = p2;

	return line1->number < line2->number ? -1 :
		line1->number > line2->number;
}

static int line_cmp_login(const void *p1, const void *p2)
{
	const struct user_line *line1 = p1, *line2 = p2;
	int ret = strcasecmp(line1->login, line2->login);

	return ret != 0 ? ret : line_cmp_number(p1, p2);
}

static int login_cmp(const void *key, const void *p)
{
	const struct user_line *line = p;

	return strcasecmp(key, line->login);
}

/* Judge the lines of one login, which are in the order of their numbers: keep
   the first one if no other contradicts it. */
static void users_judge_group(struct users *users, struct user_line *lines,
			      size_t count, const char *name)
{
	struct user_line *first = NULL;
	unsigned int again = 0;
	bool contradiction = false;
	size_t i;

	for (i = 0; i < count; i++) {
		if (lines[i].bad)
			continue;
		if (first == NULL) {
			first = &lines[i];
			continue;
		}
		if (again == 0)
			again = lines[i].number;
		if (lines[i].user.id != first->user.id ||
			 lines[i].user.context != first->user.context)
			contradiction = true;
	}
	for (i = 0; i < count; i++) {
		if (lines[i].bad || (&lines[i] == first && !contradiction))
			continue;
		users_add_problem(users, lines[i].login, SESSION_REGISTER,
				  name, lines[i].number,
				  "the login is in line %u%s",
				  &lines[i] == first ? again : first->number,
				  contradiction ? ", with other numbers: it "
				  "is left as it is" : " already");
		lines[i].bad = true;
	}
}

static void users_judge(struct users *users, const char *name)
{
	size_t i, j;

	if (users->line_count == 0)
		return;
	qsort(users->lines, users->line_count, sizeof(*users->lines),
	      line_cmp_login);
	for (i = 0; i < users->line_count; i = j) {
		for (j = i + 1; j < users->line_count; j++) {
			if (strcasecmp(users->lines[i].login,
				       users->lines[j].login) != 0)
				break;
		}
		if (j - i > 1)
			users_judge_group(users, users->lines + i, j - i, name);
	}
	qsort(users->lines, users->line_count, sizeof(*users->lines),
	      line_cmp_number);
	for (i = 0; i < users->line_count; i++) {
		const struct user_line *line = &users->lines[i];

		if (!line->bad) {
			users_add_task(users, line->login, SESSION_REGISTER,
				       &line->user);
		}
	}
	qsort(users->lines, users->line_count, sizeof(*users->lines),
	      line_cmp_login);
}

int users_read(struct users *users, FILE *file, const char *name,
	       const char *separator, const char **error_r)
{
	struct line_reader reader = { .file = file };
	const char *fields[3], *error;

	memset(users, 0, sizeof(*users));
	if (line_reader_next(&reader)) {
		if (csv_split(reader.line, fields, 3, &error) != 3 ||
		    strcmp(fields[0], "login") != 0 ||
		    strcmp(fields[1], "user") != 0 ||
		    strcmp(fields[2], "context") != 0) {
			(void)line_reader_end(&reader, error_r);
			*error_r = "its first line has to be "HEADER;
			return -1;
		}
		users->has_header = true;
		while (line_reader_next(&reader))
			users_read_line(users, &reader, name, separator);
	}
	if (line_reader_end(&reader, error_r) < 0)
		return -1;
	users_judge(users, name);
	return 0;
}

/* -- the others -- */

static bool users_may_remove(struct users *users, const char *name)
{
	if (!users->has_header) {
		users_add_problem(users, NULL, SESSION_UNREGISTER, name, 1,
				  "nobody is unregistered, since the file of "
				  "the users has not even a header");
		return false;
	}
	if (users->lost_line != 0) {
		users_add_problem(users, NULL, SESSION_UNREGISTER, name, 1,
				  "nobody is unregistered, since it is not "
				  "known who is meant by line %u of the users",
				  users->lost_line);
		return false;
	}
	return true;
}

static int login_pointer_cmp(const void *p1, const void *p2)
{
	return strcasecmp(*(char *const *)p1, *(char *const *)p2);
}

/* Sort the logins and free duplicates. Returns the number of those left. */
static size_t unique_logins(char **logins, size_t count)
{
	size_t i, kept = 0;

	if (count == 0)
		return 0;
	qsort(logins, count, sizeof(*logins), login_pointer_cmp);
	for (i = 0; i < count; i++) {
		if (kept > 0 && strcasecmp(logins[kept - 1], logins[i]) == 0)
			free(logins[i]);
		else
			logins[kept++] = logins[i];
	}
	return kept;
}

int users_read_others(struct users *users, FILE *file, const char *name,
		      const char *separator, const char **error_r)
{
	struct line_reader reader = { .file = file };
	char **logins = NULL;
	size_t i, count = 0;
	int ret;

	if (!users_may_remove(users, name))
		return 0;
	while (line_reader_next(&reader)) {
		const char *error = login_check(reader.line, reader.size,
						separator);

		if (error != NULL) {
			users_add_problem(users, NULL, SESSION_UNREGISTER,
					  name, reader.number, "%s", error);
		} else if (users->line_count == 0 ||
			   bsearch(reader.line, users->lines,
				   users->line_count, sizeof(*users->lines),
				   login_cmp) == NULL) {
			logins = grow(logins, count, sizeof(*logins));
			logins[count++] = str_copy(reader.line);
		}
	}
	ret = line_reader_end(&reader, error_r);
	count = unique_logins(logins, count);
	for (i = 0; i < count; i++) {
		if (ret == 0) {
			users_add_task(users, logins[i], SESSION_UNREGISTER,
				       NULL);
		}
		free(logins[i]);
	}
	free(logins);
	return ret;
}

void users_free(struct users *users)
{
	size_t i;

	for (i = 0; i < users->task_count; i++)
		free(users->tasks[i].login);
	for (i = 0; i < users->problem_count; i++) {
		free(users->problems[i].login);
		free(users->problems[i].reason);
	}
	for (i = 0; i < users->line_count; i++)
		free(users->lines[i].login);
	free(users->tasks);
	free(users->problems);
	free(users->lines);
	memset(users, 0, sizeof(*users));
}
