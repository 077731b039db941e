// Step 3 with net/http and gorilla/sessions: the user's name in a session, the counter in Redis.
//
// STORE=redis keeps the session in Redis (redistore), STORE=cookie in a signed cookie.
package main

import (
	"fmt"
	"html"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/boj/redistore"
	"github.com/gomodule/redigo/redis"
	"github.com/gorilla/sessions"
)

const page = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Sessions in C++</title>
</head>
<body>
%s
</body>
</html>
`

const idleConnections = 256

type application struct {
	store sessions.Store
	redis *redis.Pool
}

func (a *application) countVisit(key string) (int, error) {
	connection := a.redis.Get()
	defer connection.Close()
	visits, err := redis.Int(connection.Do("HINCRBY", key, "visits", 1))
	if err != nil {
		return 0, err
	}
	_, err = connection.Do("EXPIRE", key, 10)
	return visits, err
}

func (a *application) index(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	session, _ := a.store.Get(r, "session")
	username, ok := session.Values["username"].(string)
	if !ok {
		fmt.Fprintf(w, page, "You are not logged in")
		return
	}
	visits, err := a.countVisit("user:" + username)
	if err != nil {
		http.Error(w, "Redis is not available", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, page,
		fmt.Sprintf("Logged in as %s.<br>\nVisits: %d", html.EscapeString(username), visits))
}

func (a *application) login(w http.ResponseWriter, r *http.Request) {
	session, _ := a.store.Get(r, "session")
	session.Values["username"] = r.PostFormValue("username")
	if err := session.Save(r, w); err != nil {
		http.Error(w, "Redis is not available", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, "/", http.StatusFound)
}

func main() {
	key := []byte(os.Getenv("SECRET_KEY"))
	address := strings.TrimPrefix(os.Getenv("REDIS_URL"), "redis://")
	a := &application{
		store: sessions.NewCookieStore(key),
		redis: &redis.Pool{
			MaxIdle: idleConnections,
			Dial:    func() (redis.Conn, error) { return redis.Dial("tcp", address) },
		},
	}
	if os.Getenv("STORE") == "redis" {
		store, err := redistore.NewRediStore(idleConnections, "tcp", address, "", key)
		if err != nil {
			log.Fatal(err)
		}
		a.store = store
	}
	http.HandleFunc("/", a.index)
	http.HandleFunc("/login", a.login)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
