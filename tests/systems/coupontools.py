"""Coupontools as documented: v3 in an envelope and always a POST, v4 without. State shows what a repeat did."""

from itertools import count

from systems.server import (
    StrictServer,
    Wrong,
    matching,
    no_body,
    ok,
    one_of,
    optional,
    required,
    take_json,
    take_query,
)

CLIENT_ID, CLIENT_SECRET = "ct-client-id-9981", "ct-client-secret-7742"

_EMAIL = matching(r"[^@\s]+@[^@\s]+\.[a-z]+")
_DATE = matching(r"\d{4}-\d{2}-\d{2}")


def failed(code, description, status="422 Unprocessable Entity"):
    """The envelope of a failure."""
    errors = {"error_code": code, "error_message": f"HTTP/1.0 {status}", "error_message_description": [description]}
    return {"status": {"status": "failed", "errors": errors}}


class Coupontools(StrictServer):
    """``envelope_status`` is what failures come with: 200, or the real one, for that is not documented."""

    def __init__(self, envelope_status=200):
        super().__init__()
        self.envelope_status = envelope_status
        self.campaigns = {"cam_9", "cam_10", "dir_7"}
        self.mails, self.texts, self.sessions = [], [], []
        self.subaccounts = []
        self.directories = {"dir_7": []}
        self._numbers = count(1)

    def authorize(self, call):
        if call.headers.get("x-client-id") != CLIENT_ID or call.headers.get("x-client-secret") != CLIENT_SECRET:
            raise Wrong(401, "Unauthorized", code=1000)

    def refused(self, wrong):
        code = wrong.more.get("code", 200 if "missing" in str(wrong) else 301)
        if wrong.status in (404, 405, 415):
            return ok({"error": str(wrong)}, wrong.status)
        reason = "401 Unauthorized" if wrong.status == 401 else "422 Unprocessable Entity"
        return ok(failed(code, str(wrong), reason), self.envelope_status or wrong.status)

    def _campaign(self, campaign):
        if campaign not in self.campaigns:
            raise Wrong(422, "campaign not found", code=502)

    def send_email(self, call):
        said = take_json(
            call,
            {
                "campaign": required(),
                "email": required(check=_EMAIL),
                "subject": optional(),
                "firstname": optional(),
                "lastname": optional(),
                "check_unique": optional(bool),
                "couponsession": optional(),
            },
        )
        self._campaign(said["campaign"])
        to = (said["campaign"], said["email"])
        if not (said.get("check_unique") and to in self.mails):
            self.mails.append(to)
        return ok({"status": {"status": "OK"}, "action": "email_sent"})

    def send_sms(self, call):
        phone = matching(r"\+[1-9]\d{6,14}")
        said = take_json(call, {"campaign": required(), "phone": required(check=phone), "body": optional()})
        self._campaign(said["campaign"])
        self.texts.append((said["campaign"], said["phone"]))
        code = f"S{next(self._numbers)}"
        message = f"{said.get('body', '')} https://c.example/{code}".strip()
        found = {"campaign": said["campaign"], "message": message, "phone": said["phone"], "single_use_code": code}
        return ok({"status": {"status": "OK"}, **found})

    def create_session(self, call):
        names = ("firstname", "lastname", "email", "phone", "customid", "customvalcode", "expiry_date")
        check = optional(check=one_of("email", "phone", "customid"))
        said = take_json(call, {"campaign": required(), "duplicate_check": check, **dict.fromkeys(names, optional())})
        self._campaign(said["campaign"])
        by = said.get("duplicate_check")
        for session in self.sessions:
            same = by and session["campaign"] == said["campaign"] and said.get(by) and session.get(by) == said[by]
            if same:
                return self._session(session)
        self.sessions.append({**said, "code": f"U{next(self._numbers)}"})
        return self._session(self.sessions[-1])

    def _session(self, session):
        code = session["code"]
        found = {"single_use_code": code, "single_use_url": f"https://c.example/u/{code}"}
        return ok({"status": {"status": "OK"}, **found})

    def create_subaccount(self, call):
        names = ("password", "package", "first_name", "last_name", "company_name")
        said = take_json(
            call,
            {
                "email": required(check=_EMAIL),
                "status": optional(check=one_of("trial", "customer")),
                "country": optional(check=matching("[A-Z]{2}")),
                "expiry_date": optional(check=_DATE),
                **dict.fromkeys(names, optional()),
            },
        )
        if any(one["email"] == said["email"] for one in self.subaccounts):
            raise Wrong(422, "e-mail already exists", code=304)
        self.subaccounts.append({**said, "id": f"sub_{next(self._numbers)}"})
        return ok({key: value for key, value in self.subaccounts[-1].items() if key != "password"})

    def _directory(self, directory):
        if directory not in self.directories:
            raise Wrong(422, "directory not found", code=507)
        return self.directories[directory]

    def list_users(self, call, directory):
        no_body(call)
        take_query(call, ())
        return ok(self._directory(directory))

    def create_user(self, call, directory):
        names = ("password", "first_name", "last_name", "phone", "birth_date", "address", "zip", "city")
        customs = ("custom_1", "custom_2", "custom_3")
        said = take_json(call, {"email": required(check=_EMAIL), **dict.fromkeys((*names, *customs), optional())})
        user = {key: value for key, value in said.items() if key != "password"}
        self._directory(directory).append({**user, "email": said["email"].lower(), "id": f"reg_{next(self._numbers)}"})
        return ok(self.directories[directory][-1])

    def update_user(self, call, directory, user):
        said = take_json(call, {"block": required(bool)})
        for one in self._directory(directory):
            if one["id"] == user:
                one["block"] = said["block"]
                return ok(one)
        raise Wrong(422, "user not found", code=503)

    def list_directories(self, call):
        no_body(call)
        return ok([{"id": name} for name in self.directories])

    routes = (
        ("POST", "/v3/send/email", send_email),
        ("POST", "/v3/send/sms", send_sms),
        ("POST", "/v3/singleuse/create", create_session),
        ("POST", "/v4/subaccount/create", create_subaccount),
        ("GET", "/v4/directory", list_directories),
        ("GET", "/v4/directory/{directory}/users", list_users),
        ("POST", "/v4/directory/{directory}/users", create_user),
        ("POST", "/v4/directory/{directory}/users/{user}", update_user),
    )
