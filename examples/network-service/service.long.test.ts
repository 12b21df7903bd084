import { guestTest } from '@machinist/vitest'
import { expect } from 'vitest'

const test = guestTest({
  // Once: every test begins with a machine that has this file.
  setUp: (guest) => guest.write('/srv/index.html', 'It works.\n'),
})

test('a client reads what the server has, and notices when it crashes', async ({ fork, lan }) => {
  const server = await fork({ name: 'server', network: lan, address: '10.0.0.1/24' })
  const client = await fork({ name: 'client', network: lan, address: '10.0.0.2/24' })
  await server.exec('httpd -h /srv')
  expect(await client.text('wget -qO- http://10.0.0.1/')).toBe('It works.')

  server.powerOff()
  const { status, stderr } = await client.exec('wget -T 2 -O- http://10.0.0.1/')
  expect(status).toBe(1)
  expect(stderr).toContain('timed out')
})

test('what one test breaks is whole in the next', async ({ guest }) => {
  expect(await guest.text('rm -r /srv /bin/ls /etc; cat /srv/index.html || echo gone')).toBe('gone')
})

test('see?', async ({ guest }) => {
  expect(await guest.text('ls /srv; cat /srv/index.html')).toBe('index.html\nIt works.')
})
