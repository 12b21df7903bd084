/** What every file of tests begins with. */
import { configureGlobal } from 'fast-check'

/** Tests of properties try the same values each time: what fails once fails again. MACHINIST_SEED gives others. */
configureGlobal({ seed: Number(process.env['MACHINIST_SEED'] ?? 1) })
