import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join, relative } from 'node:path'
import { isMachinistError, machinistError } from '@machinist/api'
import { fileError, systemCode } from '../system/errors.ts'

/** The socket of whoever runs the machine of a tree. */
const SOCKET = 'control'
/** Bytes of the longest path that a socket may have (sockaddr_un of Linux and macOS, the shorter). */
const MOST_PATH = 103
/** Most characters of what is asked, or answered. */
const MOST_TEXT = 65536
const OWNER_ONLY = 0o600

/** What can be asked of whoever runs a machine. */
export interface TreeRequest {
  readonly action: 'take' | 'delete'
  readonly name: string
}

/** The shorter way to the socket; null when there is none that is short enough. */
function socketPath(folder: string): string | null {
  const ways = [join(folder, SOCKET), relative(process.cwd(), join(folder, SOCKET))].sort((a, b) => a.length - b.length)
  return ways.find((way) => Buffer.byteLength(way) <= MOST_PATH) ?? null
}

/** Takes a line of JSON from a connection. */
function lineOf(socket: Socket): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (more: string) => {
      text += more
      const end = text.indexOf('\n')
      if (end < 0 && text.length <= MOST_TEXT) return
      try {
        resolve(JSON.parse(text.slice(0, end)))
      } catch {
        reject(new Error('not a line of JSON'))
      }
    })
    socket.on('error', reject)
    socket.on('close', () => { reject(new Error('the connection was closed')) })
  })
}

function isRequest(value: unknown): value is TreeRequest {
  if (typeof value !== 'object' || value === null) return false
  const { action, name } = value as Record<string, unknown>
  return (action === 'take' || action === 'delete') && typeof name === 'string'
}

/**
 * Lets others ask for snapshots of a machine that runs: whoever may reach the folder's socket, its owner.
 *
 * @param serve - does what is asked; what it throws is told
 * @returns what ends that; null where no socket can be
 */
export async function listenForSnapshots(folder: string, serve: (request: TreeRequest) => Promise<void>): Promise<(() => void) | null> {
  const path = socketPath(folder)
  if (path === null) return null
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => { sockets.delete(socket) })
    socket.on('error', () => {})
    const answer = async (): Promise<unknown> => {
      try {
        const request = await lineOf(socket)
        if (!isRequest(request)) throw machinistError({ code: 'snapshot-request', part: 'request', remedy: 'Use the same version of machinist.' }, 'it is not understood')
        await serve(request)
        return {}
      } catch (error) {
        const { message, code, part, value, remedy } = isMachinistError(error) ? error : { message: String(error), code: 'snapshot-request', part: 'request', value: undefined, remedy: '' }
        return { error: { message, code, part, value, remedy } }
      }
    }
    void answer().then((reply) => { socket.end(`${JSON.stringify(reply)}\n`) })
  })
  // Whoever had it before has the tree no more.
  rmSync(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => { reject(fileError(error, folder, path)) })
    server.listen(path, resolve)
  })
  chmodSync(path, OWNER_ONLY)
  return () => {
    server.close()
    for (const socket of sockets) socket.destroy()
    rmSync(path, { force: true })
  }
}

/**
 * Asks whoever runs the machine of a tree.
 *
 * @returns false when nobody does
 * @throws the typed error that is answered; `'snapshot-request'` when the other ends meanwhile
 */
export async function askForSnapshot(folder: string, request: TreeRequest): Promise<boolean> {
  const path = socketPath(folder)
  if (path === null) return false
  const socket = connect(path)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
  } catch (error) {
    socket.destroy()
    if (['ENOENT', 'ECONNREFUSED'].includes(systemCode(error) ?? '')) return false
    throw fileError(error, folder, path)
  }
  try {
    socket.write(`${JSON.stringify(request)}\n`)
    const reply = await lineOf(socket).catch(() => null)
    if (typeof reply !== 'object' || reply === null) throw machinistError({ code: 'snapshot-request', part: folder, remedy: 'Look which snapshots there are: machinist snapshot list.' }, 'the machine ended before it answered')
    if ('error' in reply) {
      const { message, ...fields } = reply.error as { readonly message: string; readonly code: string; readonly part: string; readonly value?: string | number; readonly remedy: string }
      throw Object.assign(machinistError(fields, ''), { message })
    }
    return true
  } finally {
    socket.destroy()
  }
}
