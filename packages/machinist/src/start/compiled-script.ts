import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'
import { crc32 } from 'node:zlib'

/** A script, and where what V8 made of it may be kept. */
export interface ScriptPlace {
  /** Its file, in ASCII. */
  readonly path: string
  /** Tells its content from any other: V8 looks at no more than the length. */
  readonly id: string
  /** Folders to look in and to write to, the first of them that can be written. */
  readonly folders: readonly string[]
}

/** What stands before the code: its CRC-32. V8 believes what it is given. */
const HEADER = 4
/** Others than the owner may write a file. */
const WRITABLE_BY_OTHERS = 0o022

/** What another version of Node.js, or another machine, makes of a script is of no use. */
const SUFFIX = `-${process.version}-${process.arch}.code`

/**
 * Compiles a script, or takes what V8 made of it before: all of its functions, so that none is compiled when it is first called. Options of V8 are a part of what
 * is kept; where they, Node.js or the script are others, it is compiled anew. That nothing can be kept is no error.
 *
 * @throws what {@link Script} throws, and errors of the system when the script cannot be read
 */
export function compiledScript({ path, id, folders }: ScriptPlace): Script {
  // Of ASCII, V8 takes the bytes as they are.
  const source = readFileSync(path, 'latin1')
  const name = `command-${id}${SUFFIX}`
  for (const folder of folders) {
    const cachedData = readCode(join(folder, name))
    if (cachedData === null) continue
    const script = new Script(source, { filename: path, cachedData })
    if (script.cachedDataRejected !== true) return script
  }
  setFlagsFromString('--no-lazy')
  let script: Script
  try {
    script = new Script(source, { filename: path })
  } finally {
    setFlagsFromString('--lazy')
  }
  const code = script.createCachedData()
  folders.some((folder) => writeCode(folder, name, code))
  return script
}

/** Code that was kept: whole, and written by this user or whoever installed the script. */
function readCode(path: string): Buffer | null {
  try {
    const file = openSync(path, 'r')
    try {
      const { uid, mode } = fstatSync(file)
      const own = process.geteuid === undefined || ((uid === process.geteuid() || uid === 0) && (mode & WRITABLE_BY_OTHERS) === 0)
      if (!own) return null
      const bytes = readFileSync(file)
      const code = bytes.subarray(HEADER)
      return code.length > 0 && bytes.readUInt32LE(0) === crc32(code) ? code : null
    } finally {
      closeSync(file)
    }
  } catch {
    return null
  }
}

/** Keeps code, in the place of what belongs to other scripts. @returns whether it could be written */
function writeCode(folder: string, name: string, code: Buffer): boolean {
  const temporary = join(folder, `${name}.${process.pid}`)
  try {
    mkdirSync(folder, { recursive: true })
    const header = Buffer.alloc(HEADER)
    header.writeUInt32LE(crc32(code))
    writeFileSync(temporary, Buffer.concat([header, code]), { mode: 0o644 })
    renameSync(temporary, join(folder, name))
    for (const other of readdirSync(folder)) if (other !== name && other.startsWith('command-') && other.includes(SUFFIX)) rmSync(join(folder, other), { force: true })
    return true
  } catch {
    try {
      unlinkSync(temporary)
    } catch {
      // There is none, or nothing can be removed there.
    }
    return false
  }
}
