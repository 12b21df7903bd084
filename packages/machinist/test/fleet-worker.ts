/** A processor in a worker, for whole machines; see fleet.long.test.ts. */
import { virtCatalogue } from '@machinist/boards'
import { serveProcessor } from '@machinist/host-node'

serveProcessor({ catalogue: virtCatalogue })
