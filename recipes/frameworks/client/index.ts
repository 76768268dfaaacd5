/** The frameworks, as a program imports them. Apart from the recipes: they are in no package of the repository. */
export { serve } from "@hono/node-server"
export { default as express } from "express"
export { default as fastify } from "fastify"
export { Hono } from "hono"
