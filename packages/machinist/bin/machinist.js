#!/usr/bin/env node
// Stands here, not in dist, so that a fresh installation can link it before anything is built.
import '../dist/cli.js'
