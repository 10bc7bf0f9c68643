/**
 * Reads our tiles with the readers other people's maps use, and prints what is in them as JSON.
 *
 * node clients/read.mjs FILE.pmtiles          every tile of an archive (package `pmtiles`)
 * node clients/read.mjs FOLDER                every `z-x-y.mvt` in a folder
 *
 * Answer: { header, metadata, tiles: { "z/x/y": { layer: [{ id, type, properties, rings }] } } };
 * `rings` are the polygons as the reader sorts them: parts, each with the number of its rings.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { classifyRings, VectorTile } from "@mapbox/vector-tile";
import { PbfReader } from "pbf";
import { PMTiles } from "pmtiles";

/** A file on disk as the package wants its sources. */
class FileSource {
  constructor(path) {
    this.path = path;
    this.file = openSync(path, "r");
  }

  getKey() {
    return this.path;
  }

  async getBytes(offset, length) {
    const held = Buffer.alloc(length);
    const size = readSync(this.file, held, 0, length, offset);
    return { data: held.buffer.slice(held.byteOffset, held.byteOffset + size) };
  }
}

function features(data) {
  const found = {};
  for (const [name, layer] of Object.entries(new VectorTile(new PbfReader(data)).layers)) {
    found[name] = [];
    for (let k = 0; k < layer.length; k++) {
      const one = layer.feature(k);
      const rings =
        one.type === 3 ? classifyRings(one.loadGeometry()).map((part) => part.length) : [];
      found[name].push({ id: one.id, type: one.type, properties: one.properties, rings });
    }
  }
  return found;
}

async function archive(path) {
  const source = new FileSource(path);
  const file = new PMTiles(source);
  const header = await file.getHeader();
  const tiles = {};
  for (let z = header.minZoom; z <= header.maxZoom; z++) {
    const side = 2 ** z;
    const column = (lon) => Math.floor(((lon + 180) / 360) * side);
    const row = (lat) => {
      const angle = (lat * Math.PI) / 180;
      return Math.floor(
        ((1 - Math.log(Math.tan(angle) + 1 / Math.cos(angle)) / Math.PI) / 2) * side,
      );
    };
    for (let x = Math.max(0, column(header.minLon) - 1); x <= column(header.maxLon) + 1; x++) {
      for (let y = Math.max(0, row(header.maxLat) - 1); y <= row(header.minLat) + 1; y++) {
        const tile = x < side && y < side ? await file.getZxy(z, x, y) : undefined;
        if (tile) tiles[`${z}/${x}/${y}`] = features(tile.data);
      }
    }
  }
  const metadata = await file.getMetadata();
  closeSync(source.file);
  return { header, metadata, tiles };
}

function folder(path) {
  const tiles = {};
  for (const name of readdirSync(path).filter((one) => one.endsWith(".mvt"))) {
    tiles[name.slice(0, -4).replaceAll("-", "/")] = features(readFileSync(join(path, name)));
  }
  return { header: null, metadata: null, tiles };
}

const path = process.argv[2] ?? "";
const found = statSync(path).isDirectory() ? folder(path) : await archive(path);
process.stdout.write(JSON.stringify(found));
