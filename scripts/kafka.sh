#!/usr/bin/env bash
# A Kafka broker's jars from Maven Central into a folder, for tests/app/feeds/test_feed_kafka.py.
#   scripts/kafka.sh FOLDER [VERSION]
set -euo pipefail
folder=$(realpath -m "${1:?folder for the jars}") version=${2:-3.9.0}
command -v mvn >/dev/null || { echo "kafka: mvn is missing (apt-get install maven)" >&2; exit 2; }
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
cat > "$made/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>wusetu</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
mvn -q -B -f "$made/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$folder"
echo "kafka $version: $(ls "$folder" | wc -l) jars in $folder"
