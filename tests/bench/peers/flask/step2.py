"""Step 2's original: the visits are counted in Redis."""

import os

import redis
from flask import Flask, redirect, request, session
from markupsafe import escape

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
store = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.route("/")
def index():
    if "username" in session:
        username = escape(session["username"])
        visits = store.hincrby(username, "visits", 1)
        return """
            Logged in as {0}.<br>
            Visits: {1}
            """.format(username, visits)
    return "You are not logged in"


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        session["username"] = request.form["username"]
        return redirect("/")
    return """
        <form method="post">
        <p><input type=text name=username>
        <p><input type=submit value=Login>
        </form>"""


@app.route("/logout")
def logout():
    session.pop("username", None)
    return redirect("/")
