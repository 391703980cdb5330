function twin(argument) {
  return argument;
}
