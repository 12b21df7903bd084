import { bootGuest, type BootGuestOptions, type Guest, type GuestForkOptions } from '@machinist/machinist'
import { type Switch, virtualSwitch } from '@machinist/network'
import { beforeAll, test as base, type TestAPI } from 'vitest'

/** Milliseconds: the first time, Debian is fetched. */
const DEFAULT_SET_UP_TIMEOUT = 300_000

/** What {@link guestTest} may be told: the guest to boot, and what to do in it once. */
export interface GuestTestOptions extends BootGuestOptions {
  /** Makes the guest what every test begins with: writes files, starts services. It is done once. */
  readonly setUp?: ((guest: Guest) => void | Promise<void>) | undefined
  /** Milliseconds for booting and {@link setUp}, and for fetching Debian the first time; 300 000 unless given. */
  readonly setUpTimeout?: number | undefined
}

/** What tests made by {@link guestTest} are handed. */
export interface GuestFixtures {
  /** A guest of this test's own: a copy of the one that was booted. It goes when the test has ended. */
  readonly guest: Guest
  /** Makes further such copies, with a name and a place in a network. */
  readonly fork: (options?: GuestForkOptions) => Promise<Guest>
  /** A switch of this test's own, for `fork({ network: lan, address: '10.0.0.1/24' })`. */
  readonly lan: Switch
  /** The guest that all are copied of. What is done in it shows in the tests that come after. */
  readonly bootedGuest: Guest
}

/**
 * Makes a `test` as Vitest's, whose tests get guests that have booted: one is booted in each worker of Vitest, before the first test of the file that calls
 * this, and copied for every test. When a test fails, its message shows what the test's guests did last, and their consoles.
 *
 * Call it where a file may call `beforeAll`.
 */
export function guestTest(options: GuestTestOptions = {}): TestAPI<GuestFixtures> {
  let booted: Promise<Guest> | null = null
  const boot = (): Promise<Guest> => booted ??= bootOnce(options)
  // A test's own time is not for booting.
  beforeAll(async () => { await boot() }, options.setUpTimeout ?? DEFAULT_SET_UP_TIMEOUT)
  return base.extend<GuestFixtures>({
    // Vitest reads from the pattern what a fixture needs.
    // eslint-disable-next-line no-empty-pattern
    bootedGuest: [async ({}, use) => {
      const guest = await boot()
      await use(guest)
      booted = null
      guest.dispose()
    }, { scope: 'worker' }],
    // eslint-disable-next-line no-empty-pattern
    lan: async ({}, use) => { await use(virtualSwitch()) },
    fork: async ({ bootedGuest, task, onTestFailed }, use) => {
      const guests: Guest[] = []
      onTestFailed(() => {
        const [error] = task.result?.errors ?? []
        if (error !== undefined) error.message = `${error.message}\n\n${guests.map((guest) => guest.report()).join('\n\n')}\n`
      })
      await use(async (how) => {
        const guest = await bootedGuest.fork(how)
        guests.push(guest)
        return guest
      })
      for (const guest of guests) guest.dispose()
    },
    guest: async ({ fork }, use) => { await use(await fork()) },
  }) as TestAPI<GuestFixtures>
}

async function bootOnce({ setUp, ...options }: GuestTestOptions): Promise<Guest> {
  const guest = await bootGuest(options)
  try {
    await setUp?.(guest)
    // It costs nothing while its copies work.
    guest.pause()
  } catch (error) {
    guest.dispose()
    throw error
  }
  return guest
}
