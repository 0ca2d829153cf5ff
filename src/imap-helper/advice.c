/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "advice.h"

static const char *const texts[] = {
	[ADVICE_SERVER] =
"Check --server: the name, the port, and whether it is imap:// (STARTTLS,\n"
"port 143) or imaps:// (TLS from the start, port 993).",
	[ADVICE_CERTIFICATE] =
"Give the certificate of the CA that has signed the server's with --ca-file,\n"
"and in --server the name that the server's certificate is for.",
	[ADVICE_STARTTLS] =
"Switch TLS on at the server (in Dovecot: ssl = yes, ssl_cert, ssl_key), or\n"
"use imaps://. If nobody can listen on the way, as on the same host, there is\n"
"--allow-plaintext.",
	[ADVICE_LOGIN] =
"Check the login and the password (--password-file or HTTP_NOTIFY_PASSWORD);\n"
"to do this for other users, a master user is needed (--master-user). The\n"
"server's log may tell more.",
	[ADVICE_MASTER] =
"Check whether this login exists, the name of the master user and its\n"
"password, that the server lets it act for others (in Dovecot: a passdb with\n"
"master = yes), and whether it wants LOGIN and master user in one name (in\n"
"Dovecot: auth_master_user_separator, here: --master-separator).",
	[ADVICE_NO_PLAIN] =
"The server has to allow the mechanism PLAIN (in Dovecot: auth_mechanisms =\n"
"plain). Many do so over TLS only: use imaps:// or STARTTLS.",
	[ADVICE_TIMEOUT] =
"Is the server overloaded, or a firewall on the way? imap:// does not work on\n"
"the port of imaps:// (993). To wait longer: --timeout.",
	[ADVICE_METADATA] =
"In Dovecot 2.3, for the addresses of OX nodes and of this host:\n"
"\n"
"\tmail_attribute_dict = file:%h/dovecot-attributes\n"
"\tremote 192.0.2.0/24 {\n"
"\t  protocol imap {\n"
"\t    imap_metadata = yes\n"
"\t  }\n"
"\t}\n"
"\n"
"(in 2.4 instead of the first line: mail_attribute { dict file { path =\n"
"%{home}/dovecot-attributes } }). A proxy in front of Dovecot has to pass the\n"
"address on (login_trusted_networks), and must not hide the capability.",
	[ADVICE_NOT_DOVECOT] =
"Point --server to the Dovecot that delivers the users' mail: no other server\n"
"reads this METADATA entry.",
	[ADVICE_MAXSIZE] =
"The server's limit for METADATA values is smaller than a registration, which\n"
"has at most 26 bytes: raise it, or remove entries of the user.",
	[ADVICE_NOPRIVATE] =
"The server keeps no private METADATA, which registrations are. In Dovecot,\n"
"check mail_attribute_dict and what its log says.",
	[ADVICE_TOOMANY] =
"The user has as many METADATA entries as the server allows: remove some, or\n"
"raise the limit.",
	[ADVICE_SERVER_LOG] =
"The reason is in the server's log. In Dovecot, check that mail_attribute_dict\n"
"is set, and that its file or database can be written for this user.",
};

const char *advice_text(enum advice advice)
{
	return texts[advice];
}
