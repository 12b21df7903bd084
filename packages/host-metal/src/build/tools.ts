import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { machinistError } from '@machinist/api'

/** Runs a program to its end; what it prints. @throws typed `metal-tool` when it is missing or fails, with what it said */
export function run(program: string, args: readonly string[], cwd?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, maxBuffer: 1 << 28, env: { ...process.env, LC_ALL: 'C.UTF-8' } }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout)
        return
      }
      const missing = error.code === 'ENOENT'
      const remedy = missing ? 'Install the Debian packages gcc, libc6-dev, gcc-riscv64-unknown-elf and picolibc-riscv64-unknown-elf' : 'See what it said'
      reject(machinistError({ code: 'metal-tool', part: 'metal', value: program, remedy }, missing ? 'a program that builds the image is missing' : `a program that builds the image failed:\n${stderr || error.message}`))
    })
  })
}

/** A name for contents. */
export function digest(...contents: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const content of contents) hash.update(`${content.length}\0`).update(content)
  return hash.digest('hex').slice(0, 20)
}

/** Writes a file that is never seen half written. */
export async function place(path: string, make: (temporary: string) => Promise<unknown>): Promise<string> {
  const temporary = `${path}.${process.pid}-${Math.random().toString(36).slice(2)}`
  await mkdir(dirname(path), { recursive: true })
  await make(temporary)
  await rename(temporary, path)
  return path
}

/** Writes a file unless it holds that already. */
export async function write(path: string, content: string | Uint8Array): Promise<string> {
  const old = await readFile(path).catch(() => null)
  if (old !== null && old.equals(Buffer.from(content))) return path
  return place(path, (temporary) => writeFile(temporary, content))
}
