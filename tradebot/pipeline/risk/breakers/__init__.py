"""What ends or lessens trading when it goes wrong, a module each; ``sequence`` lists them."""
