import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** A port of this host that nobody has, and that nobody is given who takes just any: not of those for that (`ip_local_port_range`). */
export async function freePort(host: string = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 30_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => { server.once('error', () => { resolve(false) }).listen(port, host, () => { resolve(true) }) })
    if (!free) continue
    await new Promise((resolve) => { server.close(resolve) })
    return port
  }
}
