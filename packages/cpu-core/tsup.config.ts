import { type Build, library } from '../../tsup.base.ts'

const build: Build = library({ 'index': 'src/index.ts' })
export default build
