import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);
var __require = /* @__PURE__ */ ((x) => typeof require !== "undefined" ? require : typeof Proxy !== "undefined" ? new Proxy(x, {
  get: (a, b) => (typeof require !== "undefined" ? require : a)[b]
}) : x)(function(x) {
  if (typeof require !== "undefined") return require.apply(this, arguments);
  throw Error('Dynamic require of "' + x + '" is not supported');
});

// src/engine-flags.ts
import { setFlagsFromString } from "node:v8";
var CORE_BUDGET = 15e6;
var [NONE, ALL] = [2 ** 30, -1];
function optimiseScriptLater() {
  setFlagsFromString("--interrupt-budget=1000000");
  optimiseWasmAfter(CORE_BUDGET);
}
function optimiseWasmAfter(bytes) {
  setFlagsFromString(`--wasm-tiering-budget=${String(bytes)}`);
}

// src/start/load.ts
import { join as join3 } from "node:path";
import { pathToFileURL } from "node:url";

// src/guest/cache-folder.ts
import { homedir } from "node:os";
import { join } from "node:path";
function cacheFolder(env = process.env) {
  if (env["MACHINIST_CACHE"]) return env["MACHINIST_CACHE"];
  return join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "machinist");
}

// src/start/compiled-script.ts
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join as join2 } from "node:path";
import { setFlagsFromString as setFlagsFromString2 } from "node:v8";
import { Script } from "node:vm";
import { crc32 } from "node:zlib";
var HEADER = 4;
var WRITABLE_BY_OTHERS = 18;
var SUFFIX = `-${process.version}-${process.arch}.code`;
function compiledScript({ path, id, folders }) {
  const source = readFileSync(path, "latin1");
  const name = `command-${id}${SUFFIX}`;
  for (const folder of folders) {
    const cachedData = readCode(join2(folder, name));
    if (cachedData === null) continue;
    const script2 = new Script(source, { filename: path, cachedData });
    if (script2.cachedDataRejected !== true) return script2;
  }
  setFlagsFromString2("--no-lazy");
  let script;
  try {
    script = new Script(source, { filename: path });
  } finally {
    setFlagsFromString2("--lazy");
  }
  const code = script.createCachedData();
  folders.some((folder) => writeCode(folder, name, code));
  return script;
}
function readCode(path) {
  try {
    const file = openSync(path, "r");
    try {
      const { uid, mode } = fstatSync(file);
      const own = process.geteuid === void 0 || (uid === process.geteuid() || uid === 0) && (mode & WRITABLE_BY_OTHERS) === 0;
      if (!own) return null;
      const bytes = readFileSync(file);
      const code = bytes.subarray(HEADER);
      return code.length > 0 && bytes.readUInt32LE(0) === crc32(code) ? code : null;
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
}
function writeCode(folder, name, code) {
  const temporary = join2(folder, `${name}.${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true });
    const header = Buffer.alloc(HEADER);
    header.writeUInt32LE(crc32(code));
    writeFileSync(temporary, Buffer.concat([header, code]), { mode: 420 });
    renameSync(temporary, join2(folder, name));
    for (const other of readdirSync(folder)) if (other !== name && other.startsWith("command-") && other.includes(SUFFIX)) rmSync(join2(folder, other), { force: true });
    return true;
  } catch {
    try {
      unlinkSync(temporary);
    } catch {
    }
    return false;
  }
}

// src/start/load.ts
function command(folder) {
  const script = compiledScript({ path: join3(folder, "command.cjs"), id: SCRIPT_ID, folders: [folder, join3(cacheFolder(), "command")] });
  const run = script.runInThisContext();
  const packageUrl = (name) => pathToFileURL(__require.resolve(name)).href;
  return run(__require, (url) => import(url), packageUrl, {});
}

// src/cli.ts
optimiseScriptLater();
void command(__dirname).main(process.argv.slice(2)).then((status) => {
  process.exitCode = status & 255;
});
