// What the build brings beside code.
declare module "*.css";
