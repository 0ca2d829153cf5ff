// SPDX-License-Identifier: LGPL-2.1-or-later
// Prints what JavaMail, the parser of OX's server, finds in each of the files:
// a line for a file.
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Base64;
import java.util.Properties;
import javax.mail.MessagingException;
import javax.mail.Session;
import javax.mail.internet.ContentType;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import javax.mail.internet.MimePart;

class ParseMail {
	static void printText(StringBuilder out, String name, String text) {
		out.append(name).append('=');
		if (text != null)
			out.append(Base64.getEncoder().encodeToString(
				text.getBytes(StandardCharsets.UTF_16BE)));
		out.append(' ');
	}

	static void printAddresses(StringBuilder out, MimeMessage message,
				   String name) throws Exception {
		String value = message.getHeader(name, ",");

		if (value == null)
			return;
		for (InternetAddress address :
		     InternetAddress.parseHeader(value, false)) {
			printText(out, name, address.getPersonal());
			printText(out, name, address.getAddress());
		}
	}

	static void printMessage(StringBuilder out, MimeMessage message)
		throws Exception {
		printText(out, "Subject", message.getSubject());
		printText(out, "Message-ID", message.getMessageID());
		printAddresses(out, message, "From");
		printAddresses(out, message, "To");
		printPart(out, message);
	}

	static void printPart(StringBuilder out, MimePart part)
		throws Exception {
		ContentType type = new ContentType(part.getContentType());

		out.append("\n\t").append(type.getBaseType().toLowerCase())
			.append(' ');
		printText(out, "charset", type.getParameter("charset"));
		printText(out, "method", type.getParameter("method"));
		printText(out, "name", type.getParameter("name"));
		printText(out, "filename", part.getFileName());
		printText(out, "disposition", part.getDisposition());
		try {
			printContent(out, part);
		} catch (MessagingException | IOException e) {
			// the same is to come of both
			out.append(e);
		}
	}

	static void printContent(StringBuilder out, MimePart part)
		throws Exception {
		if (part.isMimeType("multipart/*")) {
			MimeMultipart parts = (MimeMultipart)part.getContent();

			for (int i = 0; i < parts.getCount(); i++)
				printPart(out, (MimePart)parts.getBodyPart(i));
		} else if (part.isMimeType("message/rfc822")) {
			printMessage(out, (MimeMessage)part.getContent());
		} else {
			out.append(Base64.getEncoder().encodeToString(
				part.getInputStream().readAllBytes()));
		}
	}

	public static void main(String[] paths) throws Exception {
		Session session = Session.getInstance(new Properties());

		for (String path : paths) {
			StringBuilder out = new StringBuilder();

			try (InputStream in =
			     Files.newInputStream(Paths.get(path))) {
				printMessage(out, new MimeMessage(session, in));
			}
			System.out.println(out.toString().replace("\n", ""));
		}
	}
}
